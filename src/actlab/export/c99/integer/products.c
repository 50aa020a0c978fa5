/* Dense layer: weights in the order of the kernels, sums where all inputs are 0, and the ending. */
struct product {
    const int8_t *weight;
    const int32_t *bias;
    const struct ending *ending;
    int32_t inputs, outputs;
    int32_t row; /* bytes of a row of outputs */
};

/* Four sums of products; the weights are blocks of four inputs of each of the four. */
APART
static void dot_4(const int8_t *w, const int8_t *x, int32_t inputs, const int32_t *bias, int32_t *sums)
{
    int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
    for (int32_t fours = inputs / 4; fours > 0; --fours, x += 4, w += 16) {
#ifdef WORDS
        const word *const weights = (const word *)(const void *)w;
        uint32_t four = *(const word *)(const void *)x, even, odd, part;
        even_codes(even, four);
        odd_codes(odd, four);
        four = weights[0];
        even_codes(part, four);
        add_products(a, part, even);
        odd_codes(part, four);
        add_products(a, part, odd);
        four = weights[1];
        even_codes(part, four);
        add_products(b, part, even);
        odd_codes(part, four);
        add_products(b, part, odd);
        four = weights[2];
        even_codes(part, four);
        add_products(c, part, even);
        odd_codes(part, four);
        add_products(c, part, odd);
        four = weights[3];
        even_codes(part, four);
        add_products(d, part, even);
        odd_codes(part, four);
        add_products(d, part, odd);
#else
        int32_t code = x[0];
        a += w[0] * code, b += w[4] * code, c += w[8] * code, d += w[12] * code;
        code = x[1];
        a += w[1] * code, b += w[5] * code, c += w[9] * code, d += w[13] * code;
        code = x[2];
        a += w[2] * code, b += w[6] * code, c += w[10] * code, d += w[14] * code;
        code = x[3];
        a += w[3] * code, b += w[7] * code, c += w[11] * code, d += w[15] * code;
#endif
    }
    for (int32_t i = 0; i < (inputs & 3); ++i)
        a += w[i] * x[i], b += w[4 + i] * x[i], c += w[8 + i] * x[i], d += w[12 + i] * x[i];
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

/* One sum of products. */
static int32_t dot_1(const int8_t *w, const int8_t *x, int32_t inputs, int32_t sum)
{
    for (int32_t fours = inputs / 4; fours > 0; --fours, x += 4, w += 4) {
#ifdef WORDS
        const uint32_t codes = *(const word *)(const void *)x, weights = *(const word *)(const void *)w;
        uint32_t part, other;
        even_codes(part, weights);
        even_codes(other, codes);
        add_products(sum, part, other);
        odd_codes(part, weights);
        odd_codes(other, codes);
        add_products(sum, part, other);
#else
        sum += w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3];
#endif
    }
    for (int32_t i = 0; i < (inputs & 3); ++i)
        sum += w[i] * x[i];
    return sum;
}

/* A row of inputs times a matrix: fours of outputs, then the rest one by one; inputs of the weights are filled up to fours. */
static void dense_row(const struct product *p, int32_t first, int32_t outputs, const int8_t *x, void *y)
{
    const int32_t filled = (p->inputs + 3) & ~3;
    const int8_t *w = p->weight + first * filled;
    for (int32_t start = first; start < first + outputs; start += 32) {
        const int32_t left = first + outputs - start, count = left < 32 ? left : 32;
        int32_t sums[32], i;
        for (i = 0; i + 4 <= count; i += 4, w += 4 * filled)
            dot_4(w, x, p->inputs, p->bias + start + i, sums + i);
        for (; i < count; ++i, w += filled)
            sums[i] = dot_1(w, x, p->inputs, p->bias[start + i]);
        p->ending->finish(p->ending, sums, start, count, y);
    }
}

/* Rows of inputs times a matrix. */
static void dense(const struct product *p, const int8_t *x, void *y, int32_t rows)
{
    for (int32_t row = 0; row < rows; ++row)
        dense_row(p, 0, p->outputs, x + row * p->inputs, (int8_t *)y + row * p->row);
}

/* The codes below a window, of the channels from `first` on, with zeros in the padding. */
static void gather(const struct window *w, const int8_t *x, int32_t row, int32_t column, int32_t first, int32_t channels, int8_t *codes)
{
    const int32_t left = column * w->column_stride - w->left, dilation = w->column_dilation, line = w->in_columns * w->in_channels;
    const int32_t start = first_inside(left, dilation), end = end_inside(left, dilation, w->columns, w->in_columns);
    const int32_t step = dilation * w->in_channels, run = step == channels ? end - start : 1;
    int32_t at = row * w->row_stride - w->top;
    if (step == channels && run == w->columns && at >= 0 && at + (w->rows - 1) * w->row_dilation < w->in_rows) { /* no padding */
        const int8_t *from = x + at * line + left * channels;
        for (int32_t i = 0; i < w->rows; ++i, from += w->row_dilation * line, codes += run * channels)
            copy_codes(from, codes, run * channels);
        return;
    }
    for (int32_t i = 0; i < w->rows; ++i, at += w->row_dilation) {
        if (at < 0 || at >= w->in_rows || end <= start) {
            fill_codes(codes, w->zero, w->columns * channels);
            codes += w->columns * channels;
            continue;
        }
        const int8_t *from = x + at * line + (left + start * dilation) * w->in_channels + first;
        fill_codes(codes, w->zero, start * channels);
        codes += start * channels;
        for (int32_t j = start; j < end; j += run, from += step, codes += run * channels)
            copy_codes(from, codes, run * channels); /* neighbours at once */
        fill_codes(codes, w->zero, (w->columns - end) * channels);
        codes += (w->columns - end) * channels;
    }
}

/* Convolution: the codes below each window, filled up to fours, then a dense layer for each group. */
static void conv(const struct window *w, const struct product *p, const int8_t *x, int8_t *codes, void *y)
{
    const int32_t channels = w->in_channels / w->groups, outputs = w->out_channels / w->groups;
    int8_t *to = (int8_t *)y;
    fill_codes(codes, 0, p->inputs);
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, to += p->row)
            for (int32_t group = 0; group < w->groups; ++group) {
                gather(w, x, row, column, group * channels, channels, codes);
                dense_row(p, group * outputs, outputs, codes, to);
            }
}

/* Sums over the positions of a window of four channels; the weights of a position are neighbours. */
APART
static void column_sums_4(const int8_t *w, const int8_t *x, int32_t rows, int32_t columns, int32_t row, int32_t column, const int32_t *bias,
                          int32_t *sums)
{
    int32_t a = bias[0], b = bias[1], c = bias[2], d = bias[3];
    for (; rows > 0; --rows, x += row) {
        const int8_t *from = x;
        for (int32_t j = columns; j > 0; --j, from += column, w += 4) {
#ifdef WORDS
            const uint32_t codes = *(const word *)(const void *)from, weights = *(const word *)(const void *)w;
            uint32_t part, other;
            even_codes(part, weights);
            even_codes(other, codes);
            a += (int16_t)part * (int16_t)other;
            c += (int16_t)(part >> 16) * (int16_t)(other >> 16);
            odd_codes(part, weights);
            odd_codes(other, codes);
            b += (int16_t)part * (int16_t)other;
            d += (int16_t)(part >> 16) * (int16_t)(other >> 16);
#else
            a += w[0] * from[0], b += w[1] * from[1], c += w[2] * from[2], d += w[3] * from[3];
#endif
        }
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

/* The same of one channel. */
static int32_t column_sum(const int8_t *w, const int8_t *x, int32_t rows, int32_t columns, int32_t row, int32_t column, int32_t sum)
{
    for (; rows > 0; --rows, x += row)
        for (int32_t j = 0; j < columns; ++j)
            sum += *w++ * x[j * column];
    return sum;
}

/* Depthwise convolution: fours of channels, then the rest one by one. Windows that meet the padding are gathered. */
static void depthwise(const struct window *w, const struct product *p, const int8_t *x, int8_t *codes, void *y)
{
    const int32_t channels = w->in_channels, size = w->rows * w->columns;
    int8_t *to = (int8_t *)y;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, to += p->row) {
            const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
            const int32_t bottom = top + (w->rows - 1) * w->row_dilation, right = left + (w->columns - 1) * w->column_dilation;
            const int8_t *from = codes, *weight = p->weight;
            int32_t row_step = w->columns * channels, column_step = channels;
            if (top >= 0 && left >= 0 && bottom < w->in_rows && right < w->in_columns) {
                from = x + (top * w->in_columns + left) * channels;
                row_step = w->row_dilation * w->in_columns * channels;
                column_step = w->column_dilation * channels;
            } else
                gather(w, x, row, column, 0, channels, codes);
            for (int32_t start = 0; start < channels; start += 32) {
                const int32_t rest = channels - start, count = rest < 32 ? rest : 32;
                int32_t sums[32], i;
                for (i = 0; i + 4 <= count; i += 4, weight += 4 * size)
                    column_sums_4(weight, from + start + i, w->rows, w->columns, row_step, column_step, p->bias + start + i, sums + i);
                for (; i < count; ++i, weight += size)
                    sums[i] = column_sum(weight, from + start + i, w->rows, w->columns, row_step, column_step, p->bias[start + i]);
                p->ending->finish(p->ending, sums, start, count, to);
            }
        }
}
