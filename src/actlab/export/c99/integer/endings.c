/* Factor of the sums of a channel; or the threshold of its sums, and whether those above it are 1. */
struct scale {
    int32_t multiplier, shift;
};

/* From sums to the numbers of a tensor: `finish` writes those of the channels from `first` on, a row of which starts at y. */
struct ending {
    void (*finish)(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y);
    const struct scale *scale;
    const int8_t *table;
    int32_t step;       /* from the scale of a channel to that of the next: 1, or 0 where all have the same */
    int32_t table_step; /* likewise of the tables: 256 or 0 */
    int32_t zero, low, high;
};

/* The upper half of a product of 64 bits; b is not negative. */
static int32_t upper_half(int32_t a, int32_t b)
{
#if defined(__ARM_ARCH_6M__) || defined(SHORT_PRODUCTS) /* there is only a product of 32 bits */
    const uint32_t a0 = (uint32_t)a & 0xFFFFu, b0 = (uint32_t)b & 0xFFFFu;
    const int32_t a1 = a >> 16, b1 = b >> 16;
    const int32_t t = a1 * (int32_t)b0 + (int32_t)((a0 * b0) >> 16);
    return a1 * b1 + (t >> 16) + (((int32_t)a0 * b1 + (t & 0xFFFF)) >> 16);
#else
    return (int32_t)(((int64_t)a * b) >> 32);
#endif
}

/* A number that is not below another and not above a third. */
static int32_t clip(int32_t number, int32_t low, int32_t high)
{
    return number < low ? low : number > high ? high : number;
}

/* Codes of 8 bits: with the shift s of a scale, sum * multiplier / 2**(33 + s), halves rounded up, and the zero. */
static void to_codes(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    const struct scale *scale = ending->scale + first * ending->step;
    const int32_t step = ending->step, zero = 2 * ending->zero + 1, low = ending->low, high = ending->high;
    int8_t *codes = (int8_t *)y + first;
    for (; count > 0; --count, scale += step)
        *codes++ = (int8_t)clip(((upper_half(*sums++, scale->multiplier) >> scale->shift) + zero) >> 1, low, high);
}

/* The same through the table of an activation. */
static void to_table(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    const struct scale *scale = ending->scale + first * ending->step;
    const int8_t *const table = ending->table;
    const int32_t step = ending->step, zero = 2 * (ending->zero + 128) + 1;
    int8_t *codes = (int8_t *)y + first;
    for (; count > 0; --count, scale += step) {
        uint32_t index = (uint32_t)(((upper_half(*sums++, scale->multiplier) >> scale->shift) + zero) >> 1);
        if (index > 255u)
            index = index >> 31 ? 0u : 255u;
        *codes++ = table[index];
    }
}

/* Codes of 8 bits for any shift: sum * multiplier / 2**shift; a table for each channel, or none. */
static void to_any_codes(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    int8_t *codes = (int8_t *)y;
    for (int32_t i = first; i < first + count; ++i) {
        const struct scale scale = ending->scale[i * ending->step];
        const int64_t product = (int64_t)*sums++ * scale.multiplier;
        const int64_t code = ((product + ((int64_t)1 << (scale.shift - 1))) >> scale.shift) + ending->zero;
        const int32_t cut = (int32_t)(code < ending->low ? ending->low : code > ending->high ? ending->high : code);
        codes[i] = ending->table ? ending->table[i * ending->table_step + cut + 128] : (int8_t)cut;
    }
}

/* Codes of 32 bits. */
static void to_long_codes(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    int32_t *codes = (int32_t *)y + first;
    for (int32_t i = 0; i < count; ++i) {
        const struct scale scale = ending->scale[(first + i) * ending->step];
        const int64_t product = (int64_t)sums[i] * scale.multiplier;
        const int64_t code = ((product + ((int64_t)1 << (scale.shift - 1))) >> scale.shift) + ending->zero;
        codes[i] = (int32_t)(code < ending->low ? ending->low : code > ending->high ? ending->high : code);
    }
}

/* Bits in rows of `table_step` elements, each of which starts with a word of its own: whether a sum is at least its threshold, or below. */
static void to_bits(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    const int32_t size = ending->table_step, words = (size + 31) / 32;
    uint32_t *line = (uint32_t *)y + first / size * words;
    if (first % 32 == 0 && first + count <= size && count <= 32) { /* one word of the first row */
        const int32_t step = ending->step;
        const struct scale *scale = ending->scale + first * step;
        uint32_t word = 0;
        for (int32_t i = count - 1; i >= 0; --i)
            word = word << 1 | (uint32_t)((sums[i] >= scale[i * step].multiplier) == scale[i * step].shift);
        line[first / 32] = word;
        return;
    }
    for (int32_t i = 0, at = first % size; i < count; ++i, ++at) {
        const struct scale scale = ending->scale[(first + i) * ending->step];
        if (at == size) {
            at = 0;
            line += words;
        }
        const uint32_t bit = (uint32_t)((sums[i] >= scale.multiplier) == scale.shift);
        line[at / 32] = (at % 32 ? line[at / 32] & ~(1u << at % 32) : 0u) | bit << at % 32;
    }
}
