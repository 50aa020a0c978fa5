"""Independent definitions of the shrinkage functions, written from their papers in mpmath; shares no code with ActLab."""

from __future__ import annotations

import mpmath as mp

HALF = mp.mpf("0.5")


def _firm(x):
    if abs(x) <= HALF:
        return mp.mpf(0)
    return mp.sign(x) * 1 * (abs(x) - HALF) / (1 - HALF) if abs(x) <= 1 else x


def _scad(x):
    a = mp.mpf(3.7)
    if abs(x) <= 2 * HALF:
        return mp.sign(x) * max(abs(x) - HALF, mp.mpf(0))
    return ((a - 1) * x - mp.sign(x) * a * HALF) / (a - 2) if abs(x) <= a * HALF else x


REFERENCES = {
    "firmshrink": _firm,
    "garroteshrink": lambda x: x - HALF**2 / x if abs(x) > HALF else mp.mpf(0),
    "hyperbolicshrink": lambda x: mp.sign(x) * mp.sqrt(x**2 - HALF**2) if abs(x) > HALF else mp.mpf(0),
    "scadshrink": _scad,
    "shrink": lambda x: x if not -HALF <= x <= HALF else mp.mpf(0),
    "two_sided_softshrink": lambda x: x - HALF if x > HALF else min(x + HALF, mp.mpf(0)),
    "two_sided_hardshrink": lambda x: mp.mpf(0) if -HALF <= x <= HALF else x,
}
