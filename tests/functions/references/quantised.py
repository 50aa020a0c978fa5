"""Independent definitions of the quantised functions, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp


def _nearest(x):
    return mp.nint(x)  # halves to even


REFERENCES = {
    "step": lambda x: mp.mpf(1 if x > 0 else 0),
    "sign": lambda x: mp.mpf(1 if x >= 0 else -1),
    "rsign": lambda x: mp.mpf(1 if x > 0 else -1),
    "rprelu": lambda x: max(x, mp.mpf(0)) + min(x, mp.mpf(0)) / 4,
    "ternary": lambda x: mp.mpf((x > mp.mpf(0.05)) - (x < -mp.mpf(0.05))),
    "dorefa": lambda x: _nearest(3 * min(max(x, mp.mpf(0)), mp.mpf(1))) / 3,
    "hwgq": lambda x: mp.mpf(0.538) * min(max(_nearest(x / mp.mpf(0.538)), mp.mpf(0)), mp.mpf(3)),
    "lsq": lambda x: min(max(_nearest(x), mp.mpf(0)), mp.mpf(3)),
    "step_at": lambda x: (mp.sign(x) + 1) / 2,
}
