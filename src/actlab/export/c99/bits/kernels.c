/* Index of a row of weights, in memory of words. */
#if defined(__GNUC__)
typedef uint16_t __attribute__((may_alias)) row_index;
#else
typedef uint16_t row_index;
#endif

/* The indices of the bits that are 1, plus `first`, or of those that are 0 where `flipped` has all bits; returns their number. */
static int32_t active_bits(const uint32_t *bits, int32_t count, int32_t first, uint32_t flipped, row_index *rows)
{
    row_index *next = rows;
    for (; count > 0; count -= 32, first += 32) {
        uint32_t word = *bits++ ^ flipped;
        if (count < 32)
            word &= (1u << count) - 1u;
#if defined(__GNUC__) && !defined(NO_BIT_SCAN) && (!defined(__arm__) || defined(__ARM_FEATURE_CLZ))
        for (; word != 0; word &= word - 1)
            *next++ = (row_index)(first + __builtin_ctz(word));
#else
        for (uint32_t row = (uint32_t)first; word != 0; word >>= 1, ++row)
            if (word & 1u)
                *next++ = (row_index)row;
#endif
    }
    return (int32_t)(next - rows);
}

/* The same of all bits below a window, counted by position and channel; the padding is left out. */
static int32_t active_window(const struct window *w, const uint32_t *x, int32_t row, int32_t column, uint32_t flipped, row_index *rows)
{
    const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left, words = (w->in_channels + 31) / 32;
    const int32_t last_row = end_inside(top, w->row_dilation, w->rows, w->in_rows);
    const int32_t last = end_inside(left, w->column_dilation, w->columns, w->in_columns);
    int32_t count = 0;
    for (int32_t i = first_inside(top, w->row_dilation); i < last_row; ++i)
        for (int32_t j = first_inside(left, w->column_dilation); j < last; ++j) {
            const uint32_t *from = x + ((top + i * w->row_dilation) * w->in_columns + left + j * w->column_dilation) * words;
            count += active_bits(from, w->in_channels, (i * w->columns + j) * w->in_channels, flipped, rows + count);
        }
    return count;
}

/* Counts of the bits of a word, in fours. */
static uint32_t counts_of_four(uint32_t word)
{
    word -= word >> 1 & 0x55555555u;
    return (word & 0x33333333u) + (word >> 2 & 0x33333333u);
}

/* All bits where more than half of the inputs of a layer are 1, so that fewer are 0 than 1; else none. */
static uint32_t mostly_active(const uint32_t *x, int32_t inputs, int32_t words)
{
    int32_t active = 0;
    for (int32_t i = 0; i < words; ++i) {
        const uint32_t fours = counts_of_four(x[i]);
        active += (int32_t)(((fours + (fours >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24);
    }
    return active > inputs / 2 ? ~0u : 0u;
}

/* Which of several tables a position has, by what lies outside of the input there. */
struct places {
    const uint8_t *rows, *columns;
    int32_t column_kinds;
};

/* The table of a position. */
static int32_t table_at(const struct places *places, int32_t row, int32_t column)
{
    return places ? places->rows[row] * places->column_kinds + places->columns[column] : 0;
}

/* Weights of -1, 0 and 1 as columns of bits: bit o of a word belongs to output o. A row of active inputs is one word for 32 outputs, and
   their sums are kept as bits of equal weight in one word, a slice. The numbers that are added are weight + 1. */
struct columns {
    const uint32_t *weight;   /* by 32 outputs and plane: a word for each row, and one of zeros */
    const uint32_t *start;    /* by table and 32 outputs: the slices to begin with; 0 for zeros */
    const int32_t *constants; /* by table and output: sums where nothing is added */
    const struct ending *ending;
    const struct places *places;
    void (*finish)(const struct columns *c, const uint32_t *slices, int32_t total, int32_t table, uint32_t flipped, void *y);
    int32_t rows, words, planes, levels; /* slices of 32 outputs */
    int32_t counted;                     /* words of inputs whose bits are counted, for a second table of those that are 0; or none */
    int32_t first;                       /* slice to which a plane is added */
    int32_t bound, factor, outputs;
    int32_t row; /* bytes of the outputs of a position */
};

/* The sum of a slice and two words, one by one bit; returns the carries. */
static uint32_t add_words(uint32_t *slice, uint32_t a, uint32_t b)
{
    const uint32_t either = a ^ b, sum = *slice;
    *slice = either ^ sum;
    return (a & b) | (either & sum);
}

/* Rows added to slices, eight at a time. */
static void add_rows(const uint32_t *weight, const row_index *rows, int32_t count, uint32_t *slices)
{
    uint32_t ones = slices[0], twos = slices[1], fours = slices[2];
    for (; count > 0; count -= 8, rows += 8) {
        uint32_t a = add_words(&ones, weight[rows[0]], weight[rows[1]]);
        uint32_t b = add_words(&ones, weight[rows[2]], weight[rows[3]]);
        const uint32_t c = add_words(&twos, a, b);
        a = add_words(&ones, weight[rows[4]], weight[rows[5]]);
        b = add_words(&ones, weight[rows[6]], weight[rows[7]]);
        uint32_t carry = add_words(&fours, c, add_words(&twos, a, b));
        for (uint32_t *slice = slices + 3; carry != 0; ++slice) {
            const uint32_t both = *slice & carry;
            *slice ^= carry;
            carry = both;
        }
    }
    slices[0] = ones;
    slices[1] = twos;
    slices[2] = fours;
}

/* Rows added to the slices of all outputs, from a level of them on; the list of rows is filled up to eights. */
static void add_columns(const struct columns *c, row_index *rows, int32_t count, int32_t level, uint32_t *slices)
{
    const uint32_t *weight = c->weight;
    while (count % 8 != 0)
        rows[count++] = (row_index)c->rows;
    for (int32_t word = 0; word < c->words; ++word, slices += c->levels)
        for (int32_t plane = 0; plane < c->planes; ++plane, weight += c->rows + 1)
            add_rows(weight, rows, count, slices + c->first + level);
}

/* The slices to begin with. */
static void begin_columns(const struct columns *c, int32_t table, uint32_t *slices)
{
    const int32_t size = c->words * c->levels;
    const uint32_t *start = c->start ? c->start + table * size : 0;
    for (int32_t i = 0; i < size; ++i)
        slices[i] = start ? start[i] : 0u;
}

/* Bits of sums that are at least the bound plus the total of the inputs, of 32 outputs at a time. */
static void columns_to_bits(const struct columns *c, const uint32_t *slices, int32_t total, int32_t table, uint32_t flipped, void *y)
{
    uint32_t *to = (uint32_t *)y;
    int32_t left = c->outputs;
    (void)table;
    for (int32_t word = 0; word < c->words; ++word) {
        uint32_t bound = (uint32_t)(c->bound + total), above = ~0u;
        for (int32_t level = 0; level < c->levels; ++level, bound >>= 1, ++slices)
            above = bound & 1u ? *slices & above : *slices | above;
        above ^= flipped;
        *to++ = left < 32 ? above & ((1u << left) - 1u) : above;
        left -= 32;
    }
}

/* Sums, and their ending. */
static void columns_to_sums(const struct columns *c, const uint32_t *slices, int32_t total, int32_t table, uint32_t flipped, void *y)
{
    const int32_t *constants = c->constants + table * c->outputs, factor = flipped ? -c->factor : c->factor;
    for (int32_t start = 0; start < c->outputs; start += 32, slices += c->levels) {
        const int32_t left = c->outputs - start, count = left < 32 ? left : 32;
        int32_t sums[32];
        for (int32_t i = 0; i < count; ++i) {
            uint32_t sum = 0;
            for (int32_t level = 0; level < c->levels; ++level)
                sum |= (slices[level] >> i & 1u) << level;
            sums[i] = factor * ((int32_t)sum - total) + constants[start + i];
        }
        c->ending->finish(c->ending, sums, start, count, y);
    }
}

/* Products of bits with weights of -1, 0 and 1. */
static void columns_of_bits(const struct window *w, const struct columns *c, const uint32_t *x, uint32_t *slices, void *y)
{
    row_index *rows = (row_index *)(slices + c->words * c->levels);
    int8_t *to = (int8_t *)y;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, to += c->row) {
            const uint32_t flipped = c->counted ? mostly_active(x + column * c->counted, c->rows, c->counted) : 0u;
            const int32_t count = active_window(w, x, row, column, flipped, rows);
            const int32_t table = flipped ? 1 : table_at(c->places, row, column);
            begin_columns(c, table, slices);
            add_columns(c, rows, count, 0, slices);
            c->finish(c, slices, count, table, flipped, to);
        }
}

/* Products of codes with weights of -1 and 1, one bit of the codes after the other; a window's codes are gathered behind the rows. */
static void columns_of_codes(const struct window *w, const struct columns *c, const int8_t *x, uint32_t *slices, void *y)
{
    row_index *rows = (row_index *)(slices + c->words * c->levels);
    int8_t *const codes = (int8_t *)(rows + (c->rows + 8) / 2 * 2), *to = (int8_t *)y;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, to += c->row) {
            const int8_t *from = codes;
            int32_t total = 0;
            if (w->rows * w->columns == 1 && w->top + w->left == 0)
                from = x + (row * w->row_stride * w->in_columns + column * w->column_stride) * w->in_channels;
            else
                gather(w, x, row, column, 0, w->in_channels, codes);
            begin_columns(c, 0, slices);
            for (int32_t bit = 0; bit < 8; ++bit) {
                row_index *next = rows;
                for (int32_t i = 0; i < c->rows; ++i) {
                    *next = (row_index)i;
                    next += (from[i] + 128) >> bit & 1;
                }
                total += (int32_t)(next - rows) << bit;
                add_columns(c, rows, (int32_t)(next - rows), bit, slices);
            }
            c->finish(c, slices, total, 0, 0u, to);
        }
}

/* Weights of 8 bits by row of inputs: for eight outputs at a time, two words of weight + 128 for each row, and for one of zeros. */
struct byte_rows {
    const uint32_t *weight;
    const int32_t *constants;
    const struct ending *ending;
    const struct places *places;
    int32_t rows, outputs, factor;
    int32_t counted; /* as in columns */
    int32_t row;     /* bytes of the outputs of a position */
};

/* The bytes of a word, added to sums of 16 bits, two to a word: of the lower and the third byte, and of the others, in which the third
   byte is contained 256 times without the extension for signals. */
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define add_bytes(even, odd, word) __asm__("uxtab16 %0, %0, %2\n\tuxtab16 %1, %1, %2, ror #8" : "+r"(even), "+r"(odd) : "r"(word))
#define without_third(even, odd) (odd)
#else
#define add_bytes(even, odd, word) ((even) += (word) & 0x00ff00ffu, (odd) += (word) >> 8)
#define without_third(even, odd) ((odd) - ((even) >> 16 << 8))
#endif

/* Sums of eight outputs over rows, four at a time; halves of a word hold 256 bytes. A function of its own has enough registers. */
#if defined(__GNUC__)
__attribute__((noinline))
#endif
static void sum_rows(const uint32_t *weight, const row_index *rows, int32_t count, int32_t *sums)
{
    for (int32_t i = 0; i < 8; ++i)
        sums[i] = -128 * count;
    while (count > 0) {
        const row_index *const end = rows + (count < 256 ? count : 256);
        uint32_t a = 0, b = 0, c = 0, d = 0;
        count -= (int32_t)(end - rows);
        while (rows != end) {
            const uint32_t *row = weight + 2 * *rows++;
            add_bytes(a, b, row[0]);
            add_bytes(c, d, row[1]);
            row = weight + 2 * *rows++;
            add_bytes(a, b, row[0]);
            add_bytes(c, d, row[1]);
            row = weight + 2 * *rows++;
            add_bytes(a, b, row[0]);
            add_bytes(c, d, row[1]);
            row = weight + 2 * *rows++;
            add_bytes(a, b, row[0]);
            add_bytes(c, d, row[1]);
        }
        b = without_third(a, b);
        d = without_third(c, d);
        sums[0] += (int32_t)(a & 0xffffu), sums[1] += (int32_t)(b & 0xffffu), sums[2] += (int32_t)(a >> 16), sums[3] += (int32_t)(b >> 16);
        sums[4] += (int32_t)(c & 0xffffu), sums[5] += (int32_t)(d & 0xffffu), sums[6] += (int32_t)(c >> 16), sums[7] += (int32_t)(d >> 16);
    }
}

/* Products of bits with weights of 8 bits: only the weights of active inputs are read. */
static void bytes_of_bits(const struct window *w, const struct byte_rows *b, const uint32_t *x, uint32_t *scratch, void *y)
{
    row_index *const rows = (row_index *)scratch;
    int8_t *to = (int8_t *)y;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column, to += b->row) {
            const uint32_t flipped = b->counted ? mostly_active(x + column * b->counted, b->rows, b->counted) : 0u;
            int32_t active = active_window(w, x, row, column, flipped, rows);
            const int32_t factor = flipped ? -b->factor : b->factor;
            const int32_t *constants = b->constants + (flipped ? 1 : table_at(b->places, row, column)) * b->outputs;
            const uint32_t *weight = b->weight;
            while (active % 4 != 0)
                rows[active++] = (row_index)b->rows;
            for (int32_t start = 0; start < b->outputs; start += 32) {
                const int32_t left = b->outputs - start, count = left < 32 ? left : 32;
                int32_t sums[32];
                for (int32_t i = 0; i < count; i += 8, weight += 2 * (b->rows + 1))
                    sum_rows(weight, rows, active, sums + i);
                for (int32_t i = 0; i < count; ++i)
                    sums[i] = factor * sums[i] + *constants++;
                b->ending->finish(b->ending, sums, start, count, to);
            }
        }
}

/* Weights of -1, 0 and 1 as the signs and, with zeros among them, the mask of each output. */
struct signs {
    const uint32_t *sign, *mask; /* mask is 0 without zeros */
    const int32_t *constants;
    const struct ending *ending;
    int32_t words, outputs, factor;
    int32_t row; /* bytes of a row of outputs */
};

/* The number of inputs that differ from the signs below a mask: three words are added to one of ones and one of twos before bits are
   counted; bytes hold the counts of 30 words. */
static int32_t differing(const uint32_t *x, const uint32_t *sign, const uint32_t *mask, int32_t words)
{
    int32_t total = 0;
    for (int32_t start = 0; start < words; start += 30) {
        const int32_t end = start + 30 < words ? start + 30 : words;
        uint32_t bytes = 0;
        for (int32_t i = start; i < end; i += 3) {
            uint32_t ones = x[i] ^ sign[i], b = i + 1 < end ? x[i + 1] ^ sign[i + 1] : 0u, c = i + 2 < end ? x[i + 2] ^ sign[i + 2] : 0u;
            if (mask) {
                ones &= mask[i];
                b &= i + 1 < end ? mask[i + 1] : 0u;
                c &= i + 2 < end ? mask[i + 2] : 0u;
            }
            const uint32_t twos = add_words(&ones, b, c);
            const uint32_t fours = counts_of_four(ones) + 2 * counts_of_four(twos);
            bytes += (fours & 0x0f0f0f0fu) + (fours >> 4 & 0x0f0f0f0fu);
        }
        bytes = (bytes & 0x00ff00ffu) + (bytes >> 8 & 0x00ff00ffu);
        total += (int32_t)((bytes & 0xffffu) + (bytes >> 16));
    }
    return total;
}

/* Rows of bits times signs, for layers with few outputs. */
static void signs_of_bits(const struct signs *s, const uint32_t *x, void *y, int32_t rows)
{
    int8_t *to = (int8_t *)y;
    for (; rows > 0; --rows, x += s->words, to += s->row) {
        int32_t sums[16];
        for (int32_t i = 0; i < s->outputs; ++i)
            sums[i] = s->constants[i] - s->factor * differing(x, s->sign + i * s->words, s->mask ? s->mask + i * s->words : 0, s->words);
        s->ending->finish(s->ending, sums, 0, s->outputs, to);
    }
}

/* The bits of a window's pixels, one or the other; padding is left out. */
static void max_pool_of_bits(const struct window *w, const uint32_t *x, uint32_t *y)
{
    const int32_t words = (w->in_channels + 31) / 32;
    for (int32_t row = 0; row < w->out_rows; ++row)
        for (int32_t column = 0; column < w->out_columns; ++column)
            for (int32_t word = 0; word < words; ++word) {
                const int32_t top = row * w->row_stride - w->top, left = column * w->column_stride - w->left;
                const int32_t last_row = end_inside(top, w->row_dilation, w->rows, w->in_rows);
                const int32_t last = end_inside(left, w->column_dilation, w->columns, w->in_columns);
                uint32_t any = 0;
                for (int32_t i = first_inside(top, w->row_dilation); i < last_row; ++i)
                    for (int32_t j = first_inside(left, w->column_dilation); j < last; ++j)
                        any |= x[((top + i * w->row_dilation) * w->in_columns + left + j * w->column_dilation) * words + word];
                *y++ = any;
            }
}

/* Rows of bits, which start with a word of their own, as rows of another length. */
static void repack(const uint32_t *x, uint32_t *y, int32_t rows, int32_t length, int32_t new_length)
{
    int32_t at = 0;
    uint32_t made = 0;
    for (; rows > 0; --rows)
        for (int32_t i = 0; i < length; i += 32) {
            int32_t left = length - i < 32 ? length - i : 32;
            uint32_t word = *x++;
            while (left > 0) {
                const int32_t room = 32 - at % 32, end = new_length - at, space = room < end ? room : end;
                const int32_t taken = left < space ? left : space;
                made |= word << at % 32;
                word = taken < 32 ? word >> taken : 0u;
                at += taken;
                left -= taken;
                if (at % 32 == 0 || at == new_length) {
                    *y++ = at % 32 ? made & ((1u << at % 32) - 1u) : made;
                    made = 0;
                    at = at == new_length ? 0 : at;
                } else
                    made &= (1u << at % 32) - 1u;
            }
        }
}

/* Bits of codes, in rows of `length`: 1 where a code is at least the level of an output, or, where that is flipped, below it. */
static void levels_of_codes(const int32_t *level, const uint32_t *flipped, int32_t outputs, const int8_t *x, uint32_t *y, int32_t count,
                            int32_t length)
{
    uint32_t word = 0;
    int32_t at = 0;
    for (; count > 0; --count) {
        const int32_t code = *x++;
        for (int32_t i = 0; i < outputs; ++i) {
            word |= ((uint32_t)(code >= level[i]) ^ (flipped[i / 32] >> i % 32 & 1u)) << at % 32;
            if (++at % 32 == 0 || at == length) {
                *y++ = word;
                word = 0;
                at = at == length ? 0 : at;
            }
        }
    }
}

/* Rows of bits as codes. */
static void unpack(const uint32_t *x, int8_t *y, int32_t rows, int32_t length, int32_t low)
{
    for (; rows > 0; --rows, x += (length + 31) / 32)
        for (int32_t i = 0; i < length; ++i)
            *y++ = (int8_t)(x[i / 32] >> i % 32 & 1u ? 1 : low);
}

/* Rows of codes as bits: 1 where they are above 0. */
static void pack(const int8_t *x, uint32_t *y, int32_t rows, int32_t length)
{
    for (; rows > 0; --rows)
        for (int32_t i = 0; i < length; i += 32) {
            uint32_t word = 0;
            for (int32_t j = i; j < i + 32 && j < length; ++j)
                word |= (uint32_t)(*x++ > 0) << (j - i);
            *y++ = word;
        }
}
