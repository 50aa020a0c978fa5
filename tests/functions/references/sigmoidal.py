"""Independent definitions of the sigmoidal functions, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp


def _number(value):
    return mp.mpf(value)


def _logistic(x):
    return 1 / (1 + mp.exp(-x))


def _clip(x, lower, upper):
    return min(max(x, mp.mpf(lower)), mp.mpf(upper))


def _signed(function):
    return lambda x: mp.sign(x) * function(abs(x))


def _soft_clipping(x):
    return mp.log((1 + mp.exp(50 * x)) / (1 + mp.exp(50 * (x - 1)))) / 50


def _rational_tanh(x):
    y = abs(2 * x / 3)
    return _number(1.7159) * mp.sign(x) * (1 - 1 / (1 + y + y**2 + _number(1.41645) * y**4))


def _kwan(x):
    if abs(x) >= 2:
        return mp.sign(x)
    return x * (1 - abs(x) / 4)


def _plan(x):
    size = abs(x)
    if size >= 5:
        y = mp.mpf(1)
    elif size >= mp.mpf("2.375"):
        y = mp.mpf("0.03125") * size + mp.mpf("0.84375")
    elif size >= 1:
        y = mp.mpf("0.125") * size + mp.mpf("0.625")
    else:
        y = mp.mpf("0.25") * size + mp.mpf("0.5")
    return y if x >= 0 else 1 - y


def _plse(x):
    if x < -4:
        return _number(0.01) * (x + 4)
    return _number(0.01) * (x - 4) + 1 if x > 4 else x / 8 + mp.mpf("0.5")


def _lhtan(x):
    if x < 0:
        return _number(0.001) * x
    return _number(0.001) * (x - 1) + 1 if x > 1 else x


def _smooth_step(x):
    if x <= mp.mpf("-0.5"):
        return mp.mpf(0)
    return mp.mpf(1) if x >= mp.mpf("0.5") else -2 * x**3 + 3 * x / 2 + mp.mpf("0.5")


def _smootherstep(x):
    t = _clip(x, 0, 1)
    return 6 * t**5 - 15 * t**4 + 10 * t**3


def _entmoid(x):
    """The first weight of the 1.5-entmax of (x, 0): its weights are ((z - tau)_+)^2 for z = x / 2 and 0, and sum to 1."""
    z = x / 2
    if abs(z) >= 1:
        return mp.mpf(1 if z > 0 else 0)
    tau = (z - mp.sqrt(2 - z**2)) / 2  # the smaller root of (z - tau)^2 + tau^2 = 1
    return (z - tau) ** 2


REFERENCES = {
    "aranda_ordaz": lambda x: 1 - (1 + 2 * mp.exp(x)) ** mp.mpf("-0.5"),
    "arctan_normalized": lambda x: 2 * mp.atan(x) / mp.pi,
    "asinh": mp.asinh,
    "bipolar_sigmoid": lambda x: (1 - mp.exp(-x)) / (1 + mp.exp(-x)),
    "cauchit": lambda x: mp.mpf("0.5") + mp.atan(x) / mp.pi,
    "cloglog": lambda x: 1 - mp.exp(-mp.exp(x)),
    "cosine_squasher": lambda x: (1 + mp.cos(_clip(x, -mp.pi / 2, mp.pi / 2) + 3 * mp.pi / 2)) / 2,
    "cubsign": lambda x: x**3 / (abs(x) ** 3 + 1),
    "d_silu": lambda x: _logistic(x) * (1 + x * (1 - _logistic(x))),
    "elliot2": lambda x: mp.sign(x) * x**2 / (1 + x**2),
    "elliott_sigmoid": lambda x: x / (1 + abs(x)) / 2 + mp.mpf("0.5"),
    "exproot": _signed(lambda size: 1 - mp.exp(-mp.sqrt(size))),
    "gompertz": lambda x: mp.exp(-mp.exp(-x)),
    "gudermannian": lambda x: mp.atan(mp.sinh(x)),
    "hexpo": _signed(lambda size: 1 - mp.exp(-size)),
    "isru": lambda x: x / mp.sqrt(1 + x**2),
    "keras_hard_sigmoid": lambda x: _clip(_number(0.2) * x + mp.mpf("0.5"), 0, 1),
    "laplace_cdf": lambda x: mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2,
    "lecun_tanh": lambda x: _number(1.7159) * mp.tanh(_number(2 / 3) * x),
    "lhtan": _lhtan,
    "log_sqnl": lambda x: (1 + _kwan(x)) / 2,
    "logquad_clip": lambda x: _clip(mp.sign(x) * mp.log(x**2 + 1), -1, 1),
    "logsign_clip": lambda x: _clip(mp.sign(x) * mp.log(abs(x) + 1), -1, 1),
    "m_arcsinh": lambda x: mp.asinh(x) / 3 * mp.sqrt(abs(x)) / 4,
    "mega_laplace": lambda x: mp.erfc(-(x - _number(0.707107)) / (_number(0.282095) * mp.sqrt(2))) / 2,
    "modified_cloglog": lambda x: 1 - 2 * mp.exp(-_number(0.7) * mp.exp(x)),
    "mu_law": _signed(lambda size: mp.log(1 + 255 * size) / mp.log(256)),
    "normal_cdf": lambda x: mp.erfc(-x / mp.sqrt(2)) / 2,
    "plan_sigmoid": _plan,
    "plse": _plse,
    "power23_clip": lambda x: _clip(mp.sign(x) * mp.cbrt(abs(x)) ** 2, -1, 1),
    "rational_tanh": _rational_tanh,
    "rectified_tanh": lambda x: max(mp.mpf(0), mp.tanh(x)),
    "rootsig": lambda x: mp.tan(mp.atan(x) / 2),
    "satursin": lambda x: mp.sin(_clip(x, -mp.pi / 2, mp.pi / 2)),
    "saturlog": _signed(lambda size: mp.log(size + 1) / (mp.log(size + 1) + 1)),
    "scaled_sigmoid": lambda x: 4 * _logistic(x) - 2,
    "sigmoid_gumbel": lambda x: _logistic(x) * mp.exp(-mp.exp(-x)),
    "signed_hyperbolic": _signed(lambda size: mp.sqrt(size + 1) - 1 + _number(0.001) * size),
    "signed_sqrt": _signed(mp.sqrt),
    "smooth_step": _smooth_step,
    "smootherstep": _smootherstep,
    "soft_clipping": _soft_clipping,
    "softcap": lambda x: 30 * mp.tanh(x / 30),
    "sparse_sigmoid": lambda x: _clip((x + 1) / 2, 0, 1),
    "sqnl": _kwan,
    "steepened_sigmoid": lambda x: _logistic(_number(4.9) * x),
    "symexp": _signed(lambda size: mp.exp(size) - 1),
    "symlog": _signed(lambda size: mp.log(1 + size)),
    "entmoid15": _entmoid,
    "tempered_logsigmoid": lambda x: mp.log(1 / (1 + mp.exp(-x))) / 16,
    "gmtu": lambda x: mp.tanh(_number(1.5) * x) * mp.exp(-mp.mpf(0.2) * x**2) + mp.mpf(0.2) * x,
}
