/* A copy. */
static void copy_codes(const int8_t *x, int8_t *y, int32_t size)
{
#if defined(__GNUC__) && defined(LONG_COPIES)
    for (; size >= 4; size -= 4, x += 4, y += 4)
        *(word *)(void *)y = *(const word *)(const void *)x;
#endif
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i];
}

/* A code at all places. */
static void fill_codes(int8_t *y, int32_t code, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = (int8_t)code;
}

/* Blocks of neighbours, copied from places that are x_step apart to places that are y_step apart; all in bytes. */
static void copy_blocks(const void *x, void *y, int32_t blocks, int32_t length, int32_t x_step, int32_t y_step)
{
    for (int32_t block = 0; block < blocks; ++block)
        copy_codes((const int8_t *)x + block * x_step, (int8_t *)y + block * y_step, length);
}

/* Rows and columns of a matrix exchanged; its elements are `width` bytes. */
static void transpose(const void *x, void *y, int32_t rows, int32_t columns, int32_t width)
{
    const int8_t *const from = (const int8_t *)x;
    int8_t *to = (int8_t *)y;
    for (int32_t column = 0; column < columns; ++column)
        for (int32_t row = 0; row < rows; ++row)
            for (int32_t byte = 0; byte < width; ++byte)
                *to++ = from[(row * columns + column) * width + byte];
}

/* A tensor of three dimensions with a constant around it. */
static void pad(const int8_t *x, int8_t *y, const int32_t in[3], const int32_t out[3], const int32_t before[3], int32_t code)
{
    fill_codes(y, code, out[0] * out[1] * out[2]);
    for (int32_t i = 0; i < in[0]; ++i)
        for (int32_t j = 0; j < in[1]; ++j)
            copy_codes(x + (i * in[1] + j) * in[2], y + ((i + before[0]) * out[1] + j + before[1]) * out[2] + before[2], in[2]);
}

/* Table of an activation; `inner` neighbours share one of `count` tables. */
static void lookup(const int8_t *tables, int32_t count, int32_t inner, const int8_t *x, int8_t *y, int32_t size)
{
    if (count == 1)
        inner = size;
    for (int32_t start = 0, index = 0; start < size; start += inner, index = index + 1 < count ? index + 1 : 0) {
        const int8_t *table = tables + 256 * index + 128;
        const int32_t end = start + inner < size ? start + inner : size;
        for (int32_t i = start; i < end; ++i)
            y[i] = table[x[i]];
    }
}

/* Own factor and summand for each channel. */
static void affine(const int32_t *factor, const int32_t *bias, int32_t count, int32_t inner, int32_t zero, const struct ending *ending,
                   const int8_t *x, void *y, int32_t size)
{
    int32_t number = 0, repeated = 0;
    for (int32_t start = 0; start < size; start += 32) {
        int32_t sums[32], i;
        for (i = 0; i < 32 && start + i < size; ++i) {
            sums[i] = (x[start + i] - zero) * factor[number] + bias[number];
            if (++repeated == inner) {
                repeated = 0;
                number = number + 1 < count ? number + 1 : 0;
            }
        }
        ending->finish(ending, sums, start, i, y);
    }
}

/* The same of codes of 32 bits. */
static void affine_of_long(const int32_t *factor, const int32_t *bias, int32_t count, int32_t inner, int32_t zero, const struct ending *ending,
                           const int32_t *x, void *y, int32_t size)
{
    int32_t number = 0, repeated = 0;
    for (int32_t start = 0; start < size; start += 32) {
        int32_t sums[32], i;
        for (i = 0; i < 32 && start + i < size; ++i) {
            sums[i] = (x[start + i] - zero) * factor[number] + bias[number];
            if (++repeated == inner) {
                repeated = 0;
                number = number + 1 < count ? number + 1 : 0;
            }
        }
        ending->finish(ending, sums, start, i, y);
    }
}

/* Two tensors, the second of which has `count` elements that `inner` neighbours of the first share. */
struct two {
    int32_t count, inner;
    int32_t zero_a, zero_b;
    int32_t factor_a, factor_b, shift, zero, low, high; /* of a sum */
};

/* Sum of two tensors. */
static void combine(const struct two *t, const int8_t *a, const int8_t *b, int8_t *y, int32_t size)
{
    const int32_t half = (1 << (t->shift - 1)) - t->zero_a * t->factor_a - t->zero_b * t->factor_b;
    int32_t other = 0, repeated = 0;
    for (int32_t i = 0; i < size; ++i) {
        y[i] = (int8_t)clip(((a[i] * t->factor_a + b[other] * t->factor_b + half) >> t->shift) + t->zero, t->low, t->high);
        if (++repeated == t->inner) {
            repeated = 0;
            other = other + 1 < t->count ? other + 1 : 0;
        }
    }
}

/* Product of two tensors. */
static void multiply(const struct two *t, const struct ending *ending, const int8_t *a, const int8_t *b, void *y, int32_t size)
{
    int32_t other = 0, repeated = 0;
    for (int32_t start = 0; start < size; start += 32) {
        int32_t sums[32], i;
        for (i = 0; i < 32 && start + i < size; ++i) {
            sums[i] = (a[start + i] - t->zero_a) * (b[other] - t->zero_b);
            if (++repeated == t->inner) {
                repeated = 0;
                other = other + 1 < t->count ? other + 1 : 0;
            }
        }
        ending->finish(ending, sums, start, i, y);
    }
}

/* Larger codes of two tensors. */
static void maximum(const struct two *t, const int8_t *a, const int8_t *b, int8_t *y, int32_t size)
{
    int32_t other = 0, repeated = 0;
    for (int32_t i = 0; i < size; ++i) {
        y[i] = a[i] > b[other] ? a[i] : b[other];
        if (++repeated == t->inner) {
            repeated = 0;
            other = other + 1 < t->count ? other + 1 : 0;
        }
    }
}

/* Smaller codes of two tensors. */
static void minimum(const struct two *t, const int8_t *a, const int8_t *b, int8_t *y, int32_t size)
{
    int32_t other = 0, repeated = 0;
    for (int32_t i = 0; i < size; ++i) {
        y[i] = a[i] < b[other] ? a[i] : b[other];
        if (++repeated == t->inner) {
            repeated = 0;
            other = other + 1 < t->count ? other + 1 : 0;
        }
    }
}

/* Input, output and sliding window of a convolution or a pool, channels last; in one dimension there is one row. */
struct window {
    int32_t in_rows, in_columns, in_channels;
    int32_t out_rows, out_columns, out_channels;
    int32_t rows, columns;
    int32_t row_stride, column_stride;
    int32_t top, left, bottom, right; /* padding */
    int32_t row_dilation, column_dilation;
    int32_t groups;
    int32_t zero; /* code of 0, in the padding */
};

/* The first position of a window that lies in the input and not in the padding. */
static int32_t first_inside(int32_t start, int32_t dilation)
{
    return start >= 0 ? 0 : (dilation - 1 - start) / dilation;
}

/* The position of a window behind the last one that lies in the input. */
static int32_t end_inside(int32_t start, int32_t dilation, int32_t count, int32_t size)
{
    const int32_t end = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    return end < count ? end : count;
}

/* The largest code of each window; padding is left out. */
static void max_pool(const struct window *w, const int8_t *x, int8_t *y)
{
    const int32_t channels = w->in_channels;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, y += channels) {
            const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
            const int32_t last_row = end_inside(top, w->row_dilation, w->rows, w->in_rows);
            const int32_t last = end_inside(left, w->column_dilation, w->columns, w->in_columns);
            fill_codes(y, -128, channels);
            for (int32_t i = first_inside(top, w->row_dilation); i < last_row; ++i)
                for (int32_t j = first_inside(left, w->column_dilation); j < last; ++j) {
                    const int8_t *from = x + ((top + i * w->row_dilation) * w->in_columns + left + j * w->column_dilation) * channels;
                    for (int32_t c = 0; c < channels; ++c)
                        y[c] = from[c] > y[c] ? from[c] : y[c];
                }
        }
}

/* The mean of each window, with the padding or without it; the ending has a multiplier for each divisor. */
static void average_pool(const struct window *w, const struct ending *ending, const int8_t *x, int8_t *y, int32_t counts_padding)
{
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, y += w->in_channels) {
            const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
            const int32_t first_row = first_inside(top, 1), last_row = end_inside(top, 1, w->rows, w->in_rows);
            const int32_t first = first_inside(left, 1), last = end_inside(left, 1, w->columns, w->in_columns);
            const int32_t inside = (last_row - first_row) * (last - first);
            int32_t divisor = inside;
            struct ending own = *ending;
            if (counts_padding)
                divisor = end_inside(top, 1, w->rows, w->in_rows + w->bottom) * end_inside(left, 1, w->columns, w->in_columns + w->right);
            own.scale += divisor - 1;
            for (int32_t start = 0; start < w->in_channels; start += 32) {
                const int32_t rest = w->in_channels - start, count = rest < 32 ? rest : 32;
                int32_t sums[32];
                for (int32_t c = 0; c < count; ++c)
                    sums[c] = -w->zero * inside;
                for (int32_t i = first_row; i < last_row; ++i)
                    for (int32_t j = first; j < last; ++j) {
                        const int8_t *from = x + ((top + i) * w->in_columns + left + j) * w->in_channels + start;
                        for (int32_t c = 0; c < count; ++c)
                            sums[c] += from[c];
                    }
                own.finish(&own, sums, start, count, y);
            }
        }
}

/* Softmax over `size` codes that are `inner` apart. */
static void softmax(const int32_t *table, const int8_t *x, int8_t *y, int32_t outer, int32_t size, int32_t inner)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const int8_t *from = x + o * size * inner + i;
            int8_t *to = y + o * size * inner + i;
            int32_t largest = -128;
            uint32_t total = 0;
            for (int32_t j = 0; j < size; ++j)
                largest = from[j * inner] > largest ? from[j * inner] : largest;
            for (int32_t j = 0; j < size; ++j)
                total += (uint32_t)table[largest - from[j * inner]];
            for (int32_t j = 0; j < size; ++j) {
                const uint32_t share = ((uint32_t)table[largest - from[j * inner]] * 256u + total / 2u) / total;
                to[j * inner] = (int8_t)(share > 255u ? 127 : (int32_t)share - 128);
            }
        }
}

/* Index of the largest of `size` codes that are `inner` apart, the first of equal ones. */
static void argmax(const int8_t *x, int32_t *y, int32_t outer, int32_t size, int32_t inner)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const int8_t *from = x + o * size * inner + i;
            int32_t found = 0;
            for (int32_t j = 1; j < size; ++j)
                found = from[j * inner] > from[found * inner] ? j : found;
            *y++ = found;
        }
}

/* The same of codes of 32 bits. */
static void argmax_of_long(const int32_t *x, int32_t *y, int32_t outer, int32_t size, int32_t inner)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const int32_t *from = x + o * size * inner + i;
            int32_t found = 0;
            for (int32_t j = 1; j < size; ++j)
                found = from[j * inner] > from[found * inner] ? j : found;
            *y++ = found;
        }
}
