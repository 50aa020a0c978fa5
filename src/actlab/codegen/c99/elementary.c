/* Elementary functions in float32 that call no library and give the same bits on every core, those of a NaN excepted.
   Compile with -ffp-contract=off; a fused multiply-add rounds once where these functions round twice. */
#include <float.h>
#include <stdint.h>
#if !(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 16) || defined(__FAST_MATH__)
#error "float has to be computed in float, and in the order that is written"
#endif
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#endif

/* The bits of a number. */
static uint32_t f32_bits(float x)
{
    union { float number; uint32_t bits; } both;
    both.number = x;
    return both.bits;
}

/* The number of some bits. */
static float f32_number(uint32_t bits)
{
    union { float number; uint32_t bits; } both;
    both.bits = bits;
    return both.number;
}

/* The magnitude. */
static float f32_absolute(float x)
{
    return f32_number(f32_bits(x) & 0x7fffffffu);
}

/* A magnitude with the sign of another number. */
static float f32_signed(float magnitude, float sign_of)
{
    return f32_number(f32_bits(magnitude) | (f32_bits(sign_of) & 0x80000000u));
}

/* -1, 0 or 1; 0 for NaN. */
static float f32_sign(float x)
{
    return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : 0.0f;
}

/* The larger number; NaN in the first passes. */
static float f32_maximum(float a, float b)
{
    return a <= b ? b : a;
}

/* The smaller number; NaN in the first passes. */
static float f32_minimum(float a, float b)
{
    return a >= b ? b : a;
}

/* A number held within the square root of the largest one: from below (side -1), from above (1) or on both sides (0). */
static float f32_clamped(float x, float side)
{
    const float low = side <= 0.0f ? f32_maximum(x, -1.8446743e19f) : x;
    return side >= 0.0f ? f32_minimum(low, 1.8446743e19f) : low;
}

/* An exponent held where its exponential is the square root of the largest number. */
static float f32_tamed(float x)
{
    return f32_minimum(x, 44.361420f);
}

/* An exponent held where its exponential, or its square, is near the largest number. */
static float f32_capped(float x, float times)
{
    return f32_minimum(x, times > 1.0f ? 43.0f : 87.0f);
}

/* The nearest whole number, halves to even. */
static float f32_rounded(float x)
{
    const float size = f32_absolute(x);
    return size < 8388608.0f ? f32_signed((size + 8388608.0f) - 8388608.0f, x) : x;
}

/* The square. */
static float f32_square(float x)
{
    return x * x;
}

/* A whole power, by squaring. */
static float f32_power_whole(float x, int n)
{
    float result = 1.0f;
    for (; n > 0; n >>= 1, x *= x) {
        result = (n & 1) != 0 ? result * x : result;
    }
    return result;
}

/* The square root, correctly rounded: an estimate by Newton's rule, corrected in whole numbers. */
static float f32_sqrt(float x)
{
    const int subnormal = x < FLT_MIN;
    const uint32_t bits = f32_bits(subnormal ? x * 16777216.0f : x);
    const uint32_t odd = ~(bits >> 23) & 1u; /* of the exponent without its bias */
    const uint32_t m = ((bits & 0x7fffffu) | 0x800000u) << odd;
    const uint64_t square = (uint64_t)m << 23;
    const float twice = (float)(m << 1);
    float y = f32_number(0x5f375a86u - (f32_bits(twice) >> 1)), result;
    uint64_t root;
    int step;
    if (!(x > 0.0f && x <= FLT_MAX)) {
        return x < 0.0f ? f32_number(0x7fc00000u) : x;
    }
    for (step = 0; step < 3; step++) {
        y = y * (1.5f - (0.5f * twice) * y * y);
    }
    root = (uint64_t)((twice * y) * 2048.0f);
    while (root * root - root >= square) {
        root--;
    }
    while (root * root + root < square) {
        root++;
    }
    result = f32_number((((bits >> 23) - odd + 127u) << 22 & 0x7f800000u) + ((uint32_t)root - 0x800000u));
    return subnormal ? result * 2.44140625e-4f : result;
}

/* sqrt(x^2 + r^2), the magnitude of x where its square overflows. */
static float f32_hypot(float x, float r)
{
    const float size = f32_absolute(x);
    return size > 1.8446743e19f ? size : f32_sqrt(x * x + r * r);
}

/* 2^k for k from -126 to 127. */
static float f32_two_to(int32_t k)
{
    return f32_number((uint32_t)(k + 127) << 23);
}

/* e^(high + low) for a low part that is small beside 1. */
static float f32_exp_sum(float high, float low)
{
    const float k = ((high + low) * 1.44269504f + 12582912.0f) - 12582912.0f;
    const float r = ((high - k * 0.693359375f) - k * -2.12194440e-4f) + low; /* x = k log 2 + r */
    const float t = r * 1.44269504f;
    const float value = 1.0f + t * f32_exponential_polynomial(t);
    int32_t n;
    if (!(high <= 89.0f)) {
        return high * FLT_MAX; /* infinity or NaN */
    }
    if (high < -104.0f) {
        return 0.0f;
    }
    n = (int32_t)k;
    if (n > 127) {
        return value * f32_two_to(n - 1) * 2.0f;
    }
    return n < -125 ? value * f32_two_to(n + 64) * f32_two_to(-64) : value * f32_two_to(n);
}

/* e^x. */
static float f32_exp(float x)
{
    return f32_exp_sum(x, 0.0f);
}

/* e^x - 1 without cancellation. */
static float f32_expm1(float x)
{
    const float k = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
    const float t = ((x - k * 0.693359375f) - k * -2.12194440e-4f) * 1.44269504f;
    float half, value;
    if (!(x <= 89.0f)) {
        return x * FLT_MAX; /* infinity or NaN */
    }
    if (x < -18.0f) {
        return -1.0f;
    }
    if (f32_absolute(x) < 1e-8f) {
        return x;
    }
    half = f32_two_to((int32_t)k - 1);
    value = half * (t * f32_exponential_polynomial(t)) + (half - 0.5f);
    return value + value;
}

/* 1 / (1 + e^-x), relative to itself in both tails. */
static float f32_sigmoid(float x)
{
    const float e = f32_exp(-f32_absolute(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The hyperbolic tangent. */
static float f32_tanh(float x)
{
    const float a = f32_absolute(x), m = f32_expm1(f32_minimum(a, 10.0f) * 2.0f);
    return f32_signed(a < 1e-4f ? a : m / (m + 2.0f), x);
}

/* log(1 + e^x); the logarithm is that of a number from 1 to 2. */
static float f32_softplus(float x)
{
    const float e = f32_exp(-f32_absolute(x)), s = e / (2.0f + e), z = s * s;
    return f32_maximum(x, 0.0f) + (e - s * (e - z * f32_logarithm_of_up_to_two_polynomial(z)));
}

/* log sigmoid(x). */
static float f32_logsigmoid(float x)
{
    return -f32_softplus(-x);
}

/* log(1 + f) + k log 2 + rest, for 1 + f from sqrt(1/2) to sqrt(2). */
static float f32_log_sum(float f, float k, float rest)
{
    const float s = f / (2.0f + f), z = s * s, half = 0.5f * f * f;
    const float product = s * (half + z * f32_logarithm_polynomial(z));
    if (k == 0.0f) {
        return f - (half - product);
    }
    return k * 0.693359375f - ((half - (product + (k * -2.12194440e-4f + rest))) - f);
}

/* m from sqrt(1/2) to sqrt(2) and k with x = m 2^k, of a positive normal number. */
static float f32_mantissa(float x, float *k)
{
    const uint32_t shifted = f32_bits(x) + (0x3f800000u - 0x3f3504f3u);
    *k = (float)((int32_t)(shifted >> 23) - 127);
    return f32_number((shifted & 0x7fffffu) + 0x3f3504f3u);
}

/* The natural logarithm; minus infinity at zero, NaN below. */
static float f32_log(float x)
{
    const int subnormal = x < FLT_MIN;
    float k, m;
    if (!(x > 0.0f && x <= FLT_MAX)) {
        return x == 0.0f ? f32_number(0xff800000u) : x < 0.0f ? f32_number(0x7fc00000u) : x;
    }
    m = f32_mantissa(subnormal ? x * 33554432.0f : x, &k);
    return f32_log_sum(m - 1.0f, subnormal ? k - 25.0f : k, 0.0f);
}

/* log(1 + x) without cancellation; minus infinity at -1, NaN below. */
static float f32_log1p(float x)
{
    const float u = 1.0f + x;
    float k, m, lost;
    if (!(x > -1.0f && x <= FLT_MAX)) {
        return x == -1.0f ? f32_number(0xff800000u) : x < -1.0f ? f32_number(0x7fc00000u) : x;
    }
    if (x > -0.29f && x < 0.41f) {
        return f32_log_sum(x, 0.0f, 0.0f);
    }
    m = f32_mantissa(u, &k);
    lost = k > 0.0f ? 1.0f - (u - x) : x - (u - 1.0f); /* by rounding of the sum */
    return f32_log_sum(m - 1.0f, k, lost / u);
}

/* The inverse hyperbolic sine. */
static float f32_asinh(float x)
{
    const float a = f32_absolute(x), square = a * a;
    if (a > 1.0e12f) {
        return f32_signed(f32_log1p(a) + 0.693147181f, x);
    }
    return f32_signed(f32_log1p(a + square / (f32_sqrt(square + 1.0f) + 1.0f)), x);
}

/* The inverse tangent; above 1 as pi/2 minus that of the reciprocal. */
static float f32_atan(float x)
{
    const float a = f32_absolute(x), t = a > 1.0f ? 1.0f / a : a, z = t * t;
    const float value = t + t * (z * f32_arctangent_polynomial(z));
    return f32_signed(a > 1.0f ? 1.57079633f - (value + 4.37113883e-8f) : value, x);
}

/* (1 - Phi(z)) e^(z^2/2) for z >= 0. */
static float f32_normal_tail(float z)
{
    const float w = 1.0f / (z + 3.0f);
    return f32_normal_tail_polynomial(1.0f - 6.0f * w) * w;
}

/* The distribution function of N(0, 1), in the left tail relative to itself: the square of x is taken in two parts. */
static float f32_normal_cdf(float x)
{
    const float a = f32_minimum(f32_absolute(x), 20.0f), high = f32_number(f32_bits(a) & 0xfffff000u);
    const float density = f32_exp_sum(-0.5f * (high * high), -0.5f * ((a - high) * (a + high)));
    const float tail = density * f32_normal_tail(a);
    return x > 0.0f ? 1.0f - tail : tail;
}

/* The error function. */
static float f32_erf(float x)
{
    const float a = f32_minimum(f32_absolute(x), 5.0f), square = a * a;
    if (a < 1.0f) {
        return x * f32_error_function_polynomial(square);
    }
    return f32_signed(1.0f - 2.0f * (f32_exp(-square) * f32_normal_tail(a * 1.41421356f)), x);
}

/* The quarter turn nearest to x, and what is left of x, from -pi/4 to pi/4: x times 2/pi in whole numbers, as far as it matters. */
static uint32_t f32_quarter(float x, float *rest)
{
    static const uint32_t two_over_pi[8] = {
        0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
    };
    const uint32_t bits = f32_bits(x) & 0x7fffffffu, m = (bits & 0x7fffffu) | 0x800000u;
    uint32_t place, shift, turn, part[3], i;
    uint64_t product;
    float r;
    if (bits <= 0x3f490fdau) {
        *rest = x;
        return 0u;
    }
    place = (bits >> 23) - 120u; /* of the first bit of 2/pi that is not a whole turn */
    shift = place & 31u;
    for (i = 0u; i < 3u; i++) {
        const uint32_t *word = two_over_pi + (place >> 5) + i;
        part[i] = shift != 0u ? (word[0] << shift) | (word[1] >> (32u - shift)) : word[0];
    }
    product = ((uint64_t)(m * part[0]) << 32) + (uint64_t)m * part[1] + (((uint64_t)m * part[2]) >> 32);
    turn = (uint32_t)((product + ((uint64_t)1 << 61)) >> 62);
    product -= (uint64_t)turn << 62;
    r = (product >> 63) != 0u ? -(float)(~product + 1u) : (float)product;
    r *= 3.40612158e-19f; /* pi/2 over 2^62 */
    *rest = x < 0.0f ? -r : r;
    return x < 0.0f ? ~turn + 1u : turn;
}

/* The sine of x plus some quarter turns. */
static float f32_turned_sine(float x, uint32_t quarters)
{
    float r, z, value;
    uint32_t turn;
    if (!(f32_absolute(x) <= FLT_MAX)) {
        return x - x;
    }
    turn = f32_quarter(x, &r) + quarters;
    z = r * r;
    if ((turn & 1u) != 0u) {
        value = 1.0f - (0.5f * z - z * z * f32_cosine_polynomial(z));
    } else {
        value = r + r * (z * f32_sine_polynomial(z));
    }
    return (turn & 2u) != 0u ? -value : value;
}

/* The sine. */
static float f32_sin(float x)
{
    return f32_absolute(x) < 1e-4f ? x : f32_turned_sine(x, 0u);
}

/* The cosine. */
static float f32_cos(float x)
{
    return f32_turned_sine(x, 1u);
}

/* sin(x) / x, 1 at zero. */
static float f32_sinc(float x)
{
    const float held = f32_clamped(x, 0.0f);
    return x == 0.0f ? 1.0f : f32_sin(held) / held;
}

/* a b - product, where product is their rounded product: what the rounding lost. */
static float f32_lost(float a, float b, float product)
{
    const float a_high = f32_number(f32_bits(a) & 0xfffff000u), a_low = a - a_high;
    const float b_high = f32_number(f32_bits(b) & 0xfffff000u), b_low = b - b_high;
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
}

/* x^y for x > 0 and finite y: e^(y log x), the logarithm and the product in two parts. */
static float f32_power_of_positive(float x, float y)
{
    const int subnormal = x < FLT_MIN;
    float k, m, f, d, s, s_low, z, high, low, product, exponent;
    m = f32_mantissa(subnormal ? x * 33554432.0f : x, &k);
    k = subnormal ? k - 25.0f : k;
    f = m - 1.0f;
    d = 1.0f + m;
    s = f / d;
    product = s * d;
    s_low = (((f - product) - f32_lost(s, d, product)) - s * (m - (d - 1.0f))) / d;
    z = s * s;
    high = k * 0.693359375f + 2.0f * s;
    low = k != 0.0f ? 2.0f * s - (high - k * 0.693359375f) : 0.0f;
    low += k * -2.12194440e-4f + (2.0f * s_low + s * (z * f32_logarithm_polynomial(z)));
    product = y * high;
    low = f32_lost(y, high, product) + y * low;
    exponent = product + low;
    return f32_exp_sum(exponent, low - (exponent - product));
}

/* x^y; of a negative x for whole y only. */
static float f32_power(float x, float y)
{
    const float size = f32_absolute(x), held = f32_minimum(f32_maximum(y, -1.0e12f), 1.0e12f);
    float value;
    if (y == 0.0f) {
        return 1.0f;
    }
    if (!(y == y) || !(x == x)) {
        return x + y;
    }
    if (size == 0.0f || size > FLT_MAX) {
        value = (size == 0.0f) == (y > 0.0f) ? 0.0f : f32_number(0x7f800000u);
    } else {
        value = f32_power_of_positive(size, held);
    }
    if (x < 0.0f) {
        if (f32_rounded(y) != y) {
            return f32_number(0x7fc00000u);
        }
        return f32_rounded(0.5f * y) != 0.5f * y ? -value : value;
    }
    return value;
}
