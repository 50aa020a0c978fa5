/* From sums to the numbers of a tensor: `finish` writes those of the channels from `first` on, a row of which starts at y. */
struct ending {
    void (*finish)(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y);
    const int32_t *multiplier; /* or thresholds */
    const uint8_t *shift;      /* or whether sums above them are 1 */
    const int8_t *table;
    int32_t step;              /* from the numbers of a channel to those of the next: 1, or 0 where all have the same */
    int32_t table_step;        /* likewise of the tables: 256 or 0 */
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

/* sum * multiplier / 2**shift, halves rounded up; results that no code can have are cut off. */
static int32_t scaled(int32_t sum, int32_t multiplier, int32_t shift)
{
    int64_t result;
    if (shift > 32)
        return (upper_half(sum, multiplier) + (1 << (shift - 33))) >> (shift - 32);
    result = ((int64_t)sum * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
    return (int32_t)(result < -0x20000000 ? -0x20000000 : result > 0x20000000 ? 0x20000000 : result);
}

/* A number that is not below another and not above a third. */
static int32_t clip(int32_t number, int32_t low, int32_t high)
{
    return number < low ? low : number > high ? high : number;
}

/* Codes of 8 bits. */
static void to_codes(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    const int32_t *multiplier = ending->multiplier + first * ending->step;
    const uint8_t *shift = ending->shift + first * ending->step;
    const int32_t step = ending->step, zero = ending->zero, low = ending->low, high = ending->high;
    int8_t *codes = (int8_t *)y + first;
    for (int32_t i = 0; i < count; ++i, multiplier += step, shift += step)
        codes[i] = (int8_t)clip(scaled(sums[i], *multiplier, *shift) + zero, low, high);
}

/* Codes of 8 bits, through the table of an activation. */
static void to_table(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    const int32_t *multiplier = ending->multiplier + first * ending->step;
    const uint8_t *shift = ending->shift + first * ending->step;
    const int8_t *table = ending->table + 128 + first * ending->table_step;
    const int32_t step = ending->step, table_step = ending->table_step, zero = ending->zero;
    int8_t *codes = (int8_t *)y + first;
    for (int32_t i = 0; i < count; ++i, multiplier += step, shift += step, table += table_step)
        codes[i] = table[clip(scaled(sums[i], *multiplier, *shift) + zero, -128, 127)];
}

/* Codes of 32 bits. */
static void to_long_codes(const struct ending *ending, const int32_t *sums, int32_t first, int32_t count, void *y)
{
    int32_t *codes = (int32_t *)y + first;
    for (int32_t i = 0; i < count; ++i) {
        const int32_t shift = ending->shift[(first + i) * ending->step];
        const int64_t product = (int64_t)sums[i] * ending->multiplier[(first + i) * ending->step];
        const int64_t code = ((product + ((int64_t)1 << (shift - 1))) >> shift) + ending->zero;
        codes[i] = (int32_t)(code < ending->low ? ending->low : code > ending->high ? ending->high : code);
    }
}
