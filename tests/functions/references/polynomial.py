"""Independent definitions, written from the papers in mpmath: polynomials and rational functions; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

mp.mp.dps = 350
RATIONAL_NUMERATOR = ("0.0218", "0.5", "1.5957", "1.1915")
# initial values for leaky ReLU in the authors' rationals_config.json, version A, degrees 5 and 4
PAU_NUMERATOR = (
    0.029792778657264946,
    0.6183735264987601,
    2.323309062531321,
    3.051936237265109,
    1.4854203263828845,
    0.2510244961111299,
)
PAU_DENOMINATOR = (-1.1419548357285474, 4.393159974992486, 0.8714712309957245, 0.34719662339598834)


def _polynomial(x, coefficients):
    return sum(mp.mpf(a) * x**i for i, a in enumerate(coefficients))


def _pade(x):
    denominator = 1 + sum(abs(mp.mpf(b) * x**j) for j, b in enumerate(PAU_DENOMINATOR, start=1))
    return _polynomial(x, PAU_NUMERATOR) / denominator


def _hermite(x):
    """ReLU's expansion <relu, He_n> / n! He_n, computed from the integrals over x > 0, to degree 4."""
    terms = ((1 / mp.sqrt(2 * mp.pi), 1), (mp.mpf(1) / 2, x), (1 / mp.sqrt(2 * mp.pi) / 2, x**2 - 1))
    return sum(c * h for c, h in terms) - 1 / mp.sqrt(2 * mp.pi) / 24 * (x**4 - 6 * x**2 + 3)


REFERENCES = {
    "square": lambda x: x * x,
    "cube": lambda x: x * x * x,
    "shifted_quadratic_unit": lambda x: x * x + x,
    "non_monotonic_cubic_unit": lambda x: x - x * x * x,
    "cone": lambda x: 1 - abs(x - 1),
    "parabolic_cone": lambda x: x * (2 - x),
    "seagull": lambda x: mp.log(1 + x * x),
    "cauchy_activation": lambda x: (x + 1) / (x * x + 1),
    "rational_net": lambda x: _polynomial(x, RATIONAL_NUMERATOR) / (1 + mp.mpf("2.383") * x * x),
    "rational_pau": _pade,
    "poly_relu": lambda x: sum(max(x, mp.mpf(0)) ** i for i in (1, 2, 3)) / 3,
    "chebyshev_kan": mp.tanh,
    "hermite": _hermite,
}
