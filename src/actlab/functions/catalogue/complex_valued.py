"""Activations of complex numbers, such as modReLU, the cardioid and WIRE's Gabor wavelet.

Tensor code on complex tensors; parameters are real. Functions of real numbers whose formula is holomorphic (tanh, sine, SiLU, GLU, ...)
take complex tensors as well.
"""

from actlab.functions.activation import Claims, activation, learned


@activation(kind="complex", arxiv="1511.06464", claims=Claims(zero=True))
def modrelu(z, bias=learned(0.0)):
    """The number with the ReLU of its modulus plus a learned bias as its modulus; its phase is kept (unitary recurrent nets)."""
    from actlab.functions.tensor_code import moduli

    modulus = moduli.modulus(z)
    return z * ((modulus + bias).relu() / moduli.without_zero(modulus))


@activation(kind="complex", arxiv="1602.09046", claims=Claims(zero=True))
def zrelu(z):
    """The number where its phase is between 0 and pi / 2, else zero."""
    from torch import where

    return where((z.real >= 0) & (z.imag >= 0), z, 0)


@activation(kind="complex", arxiv="1705.09792", claims=Claims(zero=True), aliases=("split_relu",))
def complex_relu(z):
    """The ReLU of the real and of the imaginary part: CReLU of deep complex networks (`crelu` is the concatenated one)."""
    import torch

    return torch.complex(z.real.relu(), z.imag.relu())


@activation(kind="complex", arxiv="1707.00070", claims=Claims(zero=True), aliases=("complex_cardioid",))
def cardioid(z):
    """The number scaled by (1 + cos phase) / 2: ReLU on the real line, and the phase is kept."""
    from actlab.functions.tensor_code import moduli

    return z * ((1 + z.real / moduli.without_zero(moduli.modulus(z))) / 2)


@activation(kind="complex", arxiv="2301.05187", claims=Claims(zero=False), aliases=("wire",))
def complex_gabor(z, omega_0=10.0, s_0=40.0):
    """A wave e^(i omega z) in a Gaussian window e^(-|s z|^2): WIRE, with the defaults of its layer."""
    import torch

    window = s_0**2 * (z.real.square() + z.imag.square())
    return torch.complex(-omega_0 * z.imag - window, omega_0 * z.real).exp()
