/* Not to be inlined, so that a loop has all registers for itself. */
#if defined(__GNUC__)
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* Four codes at any address, where the core reads them at once. */
#if defined(__GNUC__)
typedef uint32_t __attribute__((may_alias, aligned(1))) word;
#endif
#if defined(__ARM_FEATURE_UNALIGNED) || defined(EMULATED_WORDS)
#define LONG_COPIES
#endif

/* Products of two pairs of numbers of 16 bits, added to a sum; the pairs are taken out of four codes. */
#if defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define WORDS
#define even_codes(r, x) __asm__("sxtb16 %0, %1" : "=r"(r) : "r"(x))
#define odd_codes(r, x) __asm__("sxtb16 %0, %1, ror #8" : "=r"(r) : "r"(x))
#define add_products(sum, x, y) __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y))
#elif defined(EMULATED_WORDS) /* the same on a little-endian host, for tests */
#define WORDS
#define EXTENDED(x) ((((uint32_t)(x) & 0xFFu) ^ 0x80u) - 0x80u)
#define even_codes(r, x) ((r) = (EXTENDED(x) & 0xFFFFu) | EXTENDED((x) >> 16) << 16)
#define odd_codes(r, x) even_codes(r, (x) >> 8)
#define add_products(sum, x, y) ((sum) += (int16_t)(x) * (int16_t)(y) + (int16_t)((x) >> 16) * (int16_t)((y) >> 16))
#endif
