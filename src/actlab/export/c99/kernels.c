/* Numbers that are repeated over a tensor: its element i has values[i / inner % count]. */
struct numbers {
    const float *values;
    int32_t count, inner;
};

/* Input, output and sliding window of a convolution or a pool; in one dimension there is one row. */
struct window {
    int32_t in_channels, in_rows, in_columns;
    int32_t out_channels, out_rows, out_columns;
    int32_t rows, columns;
    int32_t row_stride, column_stride;
    int32_t top, left; /* padding */
    int32_t row_dilation, column_dilation;
    int32_t groups;
};

/* The number of an element. */
static float number(struct numbers numbers, int32_t i)
{
    return numbers.values[i / numbers.inner % numbers.count];
}

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

/* A copy. */
static void copy(const float *x, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i];
}

/* Blocks of neighbours, copied from places that are x_step apart to places that are y_step apart. */
static void copy_blocks(const float *x, float *y, int32_t blocks, int32_t length, int32_t x_step, int32_t y_step)
{
    for (int32_t block = 0; block < blocks; ++block)
        copy(x + block * x_step, y + block * y_step, length);
}

/* A tensor of three dimensions with constants around it. */
static void pad(const float *x, float *y, const int32_t in[3], const int32_t out[3], const int32_t before[3], float value)
{
    for (int32_t i = 0; i < out[0] * out[1] * out[2]; ++i)
        y[i] = value;
    for (int32_t i = 0; i < in[0]; ++i)
        for (int32_t j = 0; j < in[1]; ++j)
            copy(x + (i * in[1] + j) * in[2], y + ((i + before[0]) * out[1] + j + before[1]) * out[2] + before[2], in[2]);
}

/* Rows times a matrix of shape (outputs, inputs). */
static void dense(const float *weight, const float *bias, const float *x, float *y, int32_t rows, int32_t inputs, int32_t outputs)
{
    for (int32_t row = 0; row < rows; ++row, x += inputs)
        for (int32_t out = 0; out < outputs; ++out) {
            const float *w = weight + out * inputs;
            float sum = bias[out];
            for (int32_t i = 0; i < inputs; ++i)
                sum += w[i] * x[i];
            *y++ = sum;
        }
}

/* Convolution; the weights have the shape (out_channels, in_channels / groups, rows, columns). */
static void conv(const struct window *w, const float *weight, const float *bias, const float *x, float *y)
{
    const int32_t channels = w->in_channels / w->groups, group = w->out_channels / w->groups;
    for (int32_t out = 0; out < w->out_channels; ++out) {
        const float *from = x + out / group * channels * w->in_rows * w->in_columns;
        const float *kernel = weight + out * channels * w->rows * w->columns;
        for (int32_t row = 0; row < w->out_rows; ++row) {
            const int32_t top = row * w->row_stride - w->top;
            const int32_t last_row = end_inside(top, w->row_dilation, w->rows, w->in_rows);
            for (int32_t column = 0; column < w->out_columns; ++column) {
                const int32_t left = column * w->column_stride - w->left;
                const int32_t first = first_inside(left, w->column_dilation);
                const int32_t last = end_inside(left, w->column_dilation, w->columns, w->in_columns);
                float sum = bias[out];
                for (int32_t channel = 0; channel < channels; ++channel)
                    for (int32_t i = first_inside(top, w->row_dilation); i < last_row; ++i) {
                        const float *line = from + (channel * w->in_rows + top + i * w->row_dilation) * w->in_columns;
                        const float *k = kernel + (channel * w->rows + i) * w->columns;
                        for (int32_t j = first; j < last; ++j)
                            sum += k[j] * line[left + j * w->column_dilation];
                    }
                *y++ = sum;
            }
        }
    }
}

/* The largest number of each window; NaN passes. */
static void max_pool(const struct window *w, const float *x, float *y)
{
    for (int32_t channel = 0; channel < w->in_channels; ++channel, x += w->in_rows * w->in_columns)
        for (int32_t row = 0; row < w->out_rows; ++row)
            for (int32_t column = 0; column < w->out_columns; ++column) {
                const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
                const int32_t last_row = end_inside(top, w->row_dilation, w->rows, w->in_rows);
                const int32_t last = end_inside(left, w->column_dilation, w->columns, w->in_columns);
                int32_t i = first_inside(top, w->row_dilation);
                const int32_t first = first_inside(left, w->column_dilation);
                float best = x[(top + i * w->row_dilation) * w->in_columns + left + first * w->column_dilation];
                for (; i < last_row; ++i)
                    for (int32_t j = first; j < last; ++j) {
                        const float value = x[(top + i * w->row_dilation) * w->in_columns + left + j * w->column_dilation];
                        best = value > best || value != value ? value : best;
                    }
                *y++ = best;
            }
}

/* The mean of each window, with the padding or without it. */
static void average_pool(const struct window *w, const float *x, float *y, int32_t counts_padding)
{
    for (int32_t channel = 0; channel < w->in_channels; ++channel, x += w->in_rows * w->in_columns)
        for (int32_t row = 0; row < w->out_rows; ++row)
            for (int32_t column = 0; column < w->out_columns; ++column) {
                const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
                const int32_t first_row = first_inside(top, 1), last_row = end_inside(top, 1, w->rows, w->in_rows);
                const int32_t first = first_inside(left, 1), last = end_inside(left, 1, w->columns, w->in_columns);
                int32_t count = (last_row - first_row) * (last - first);
                float sum = 0.0f;
                for (int32_t i = first_row; i < last_row; ++i)
                    for (int32_t j = first; j < last; ++j)
                        sum += x[(top + i) * w->in_columns + left + j];
                if (counts_padding)
                    count = end_inside(top, 1, w->rows, w->in_rows + w->top) * end_inside(left, 1, w->columns, w->in_columns + w->left);
                *y++ = sum / (float)count;
            }
}

/* Product with constants and sum with others. */
static void scale(struct numbers factors, struct numbers summands, const float *x, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i] * number(factors, i) + number(summands, i);
}

/* Sum of two tensors. */
static void add(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i] + number(other, i);
}

/* Difference of two tensors. */
static void subtract(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i] - number(other, i);
}

/* Product of two tensors. */
static void multiply(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i] * number(other, i);
}

/* Quotient of two tensors. */
static void divide(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i)
        y[i] = x[i] / number(other, i);
}

/* The larger numbers of two tensors; NaN passes. */
static void maximum(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i) {
        const float b = number(other, i);
        y[i] = x[i] <= b || b != b ? b : x[i];
    }
}

/* The smaller numbers of two tensors; NaN passes. */
static void minimum(const float *x, struct numbers other, float *y, int32_t size)
{
    for (int32_t i = 0; i < size; ++i) {
        const float b = number(other, i);
        y[i] = x[i] >= b || b != b ? b : x[i];
    }
}

/* Softmax over `size` numbers that are `inner` apart; its logarithm on request. */
static void softmax(const float *x, float *y, int32_t outer, int32_t size, int32_t inner, int32_t logarithm)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const int32_t start = o * size * inner + i;
            float largest = x[start], sum = 0.0f;
            for (int32_t j = start; j < start + size * inner; j += inner)
                largest = x[j] > largest ? x[j] : largest;
            for (int32_t j = start; j < start + size * inner; j += inner)
                sum += f32_exp(x[j] - largest);
            for (int32_t j = start; j < start + size * inner; j += inner)
                y[j] = logarithm ? x[j] - largest - f32_log(sum) : f32_exp(x[j] - largest) / sum;
        }
}

/* Index of the largest of `size` numbers that are `inner` apart, the first of equal ones; that of NaN where there is one. */
static void argmax(const float *x, int32_t *y, int32_t outer, int32_t size, int32_t inner)
{
    for (int32_t o = 0; o < outer; ++o)
        for (int32_t i = 0; i < inner; ++i) {
            const float *from = x + o * size * inner + i;
            float largest = from[0];
            int32_t found = 0;
            for (int32_t j = 1; j < size; ++j) {
                const float value = from[j * inner];
                if (value > largest || (value != value && largest == largest)) {
                    largest = value;
                    found = j;
                }
            }
            *y++ = found;
        }
}
