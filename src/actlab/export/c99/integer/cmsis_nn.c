/* A row of inputs times a matrix by CMSIS-NN, whose weights are rows; then the table of an activation. */
static void dense_row(const struct product *p, int32_t first, int32_t outputs, const int8_t *x, void *y)
{
    const struct ending *const ending = p->ending;
    const cmsis_nn_fc_params settings = {0, 0, ending->zero, {ending->table ? -128 : ending->low, ending->table ? 127 : ending->high}};
    for (int32_t start = first; start < first + outputs; start += 32) {
        const int32_t left = first + outputs - start, count = left < 32 ? left : 32;
        int32_t multiplier[32], shift[32];
        const cmsis_nn_per_channel_quant_params factors = {multiplier, shift};
        const cmsis_nn_context sums = {(void *)(intptr_t)(p->bias + start), 0}; /* what Helium adds to each sum */
        const cmsis_nn_dims one = {1, 1, 1, p->inputs}, filter = {p->inputs, 1, 1, count}, out = {1, 1, 1, count};
        int8_t *const codes = (int8_t *)y + start;
        for (int32_t i = 0; i < count; ++i) {
            multiplier[i] = ending->scale[(start + i) * ending->step].multiplier;
            shift[i] = -2 - ending->scale[(start + i) * ending->step].shift;
        }
        (void)arm_fully_connected_per_channel_s8(&sums, &settings, &factors, &one, x, &filter, p->weight + start * p->inputs, &out,
                                                 p->bias + start, &out, codes);
        for (int32_t i = 0; ending->table && i < count; ++i)
            codes[i] = ending->table[codes[i] + 128];
    }
}
