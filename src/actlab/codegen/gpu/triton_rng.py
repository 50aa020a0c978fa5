"""Counter-based random numbers in Triton, equal to those of the CPU."""

import triton
import triton.language as tl

__all__ = ["normal_noise", "uniform_noise"]


@triton.jit
def lowbias32(bits):
    """Return the finalizer lowbias32 of 32 bits."""
    bits = bits ^ (bits >> 16)
    bits = bits * 0x7FEB352D
    bits = bits ^ (bits >> 15)
    bits = bits * 0x846CA68B
    return bits ^ (bits >> 16)


@triton.jit
def uniform_noise(place, key_pointer):
    """Return float32 numbers uniform on (0, 1) for element indices and a key of two int32 numbers, the same to the bit as on the CPU."""
    bits = place.to(tl.uint32) * 0x9E3779B9
    bits = lowbias32(bits + tl.load(key_pointer).to(tl.uint32, bitcast=True))
    bits = lowbias32(bits + tl.load(key_pointer + 1).to(tl.uint32, bitcast=True))
    return ((bits >> 9).to(tl.float32) + 0.5) * 1.1920928955078125e-07


@triton.jit
def normal_noise(place, key_pointer):
    """Return float32 numbers from N(0, 1), by the approximation of Giles (2010) to the inverse distribution function, as on the CPU."""
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
