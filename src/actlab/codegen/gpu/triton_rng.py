"""Noise as Triton code: the numbers of :mod:`actlab.codegen.counter_rng`, hashed from an element's place as they are used."""

import triton
import triton.language as tl

__all__ = ["normal_noise", "uniform_noise"]


@triton.jit
def mixed(bits):
    """Return 32 bits mixed, as the counter noise mixes them."""
    bits = bits ^ (bits >> 16)
    bits = bits * 0x7FEB352D
    bits = bits ^ (bits >> 15)
    bits = bits * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def uniform_noise(place, key_pointer):
    """Return float32 numbers uniform on (0, 1), the same to the bit as on the CPU; the key is two int32 numbers."""
    bits = place.to(tl.uint32) * 0x9E3779B9
    bits = mixed(bits + tl.load(key_pointer).to(tl.uint32, bitcast=True))
    bits = mixed(bits + tl.load(key_pointer + 1).to(tl.uint32, bitcast=True))
    return ((bits >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07


@triton.jit
def normal_noise(place, key_pointer):
    """Return the inverse of the normal distribution function at uniform numbers, by the fits of the CPU's kernels (Giles 2010)."""
    u = uniform_noise(place, key_pointer)
    w = -tl.log(4.0 * u * (1.0 - u))
    n = tl.minimum(w, 5.0) - 2.5
    near = 2.81022636e-08
    near = near * n + 3.43273939e-07
    near = near * n - 3.5233877e-06
    near = near * n - 4.39150654e-06
    near = near * n + 0.00021858087
    near = near * n - 0.00125372503
    near = near * n - 0.00417768164
    near = near * n + 0.246640727
    near = near * n + 1.50140941
    f = tl.sqrt(tl.maximum(w, 5.0)) - 3.0
    far = -0.000200214257
    far = far * f + 0.000100950558
    far = far * f + 0.00134934322
    far = far * f - 0.00367342844
    far = far * f + 0.00573950773
    far = far * f - 0.0076224613
    far = far * f + 0.00943887047
    far = far * f + 1.00167406
    far = far * f + 2.83297682
    return tl.where(w < 5.0, near, far) * (2.0 * u - 1.0) * 1.4142135623730951
