"""Binary, ternary and quantized activations, such as step, sign, DoReFa and LSQ.

Forward only: their slope is zero where it exists; surrogate gradients are rules.
"""

from math import inf

from actlab.functions.activation import Bits, Claims, Constant, NonNegative, Positive, activation, learned
from actlab.functions.formula import maximum, minimum, rounded, where

JUMP = Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=-1)


@activation(
    paper="McCulloch & Pitts 1943",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=-1, zero=True),
    aliases=("heaviside", "binary_step", "spike"),
)
def step(x):
    """One above zero, else zero (larq, snnTorch; SpikingJelly's is one at zero)."""
    return where(x > 0, 1, 0)


@activation(arxiv="1602.02830", claims=JUMP, aliases=("binary_sign",))
def sign(x):
    """One from zero up, else minus one: never zero, unlike torch.sign (BinaryNet)."""
    return where(x >= 0, 1, -1)


@activation(arxiv="2003.03488", claims=JUMP)
def rsign(x, alpha=learned(0.0)):
    """One above a learned threshold, else minus one (ReActNet)."""
    return where(x > alpha, 1, -1)


@activation(
    arxiv="2003.03488", claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True)
)
def rprelu(x, beta=learned(0.25), gamma=learned(0.0), zeta=learned(0.0)):
    """PReLU with a learned kink and a learned offset (ReActNet)."""
    return where(x > gamma, x - gamma, beta * (x - gamma)) + zeta


@activation(arxiv="1605.04711", claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=-1, zero=True))
def ternary(x, threshold_value: NonNegative = 0.05):
    """Minus one, zero or one, zero within the threshold."""
    return where(x > threshold_value, 1, where(x < -threshold_value, -1, 0))


@activation(
    arxiv="1606.06160",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=-1, zero=True),
    aliases=("k_bit_quantizer",),
)
def dorefa(x, k_bit: Bits = 2):
    """The input clipped to [0, 1] and rounded to k bits; halves go to the even level, as in torch.round."""
    return rounded((2**k_bit - 1) * minimum(maximum(x, 0), 1)) / (2**k_bit - 1)


@activation(arxiv="1702.00953", claims=Claims(lower=0.0, upper=1.614, monotone=True, smoothness=-1, zero=True))
def hwgq(x, step: Positive = 0.538, bits: Bits = 2):
    """Half-wave Gaussian quantiser: nearest of 2^bits equal levels from zero up; the step is optimal for N(0, 1) and 2 bits."""
    return step * rounded(minimum(maximum(x / step, 0), 2**bits - 1))


@activation(arxiv="1902.08153", claims=Claims(lower=0.0, upper=3.0, monotone=True, smoothness=-1, zero=True))
def lsq(x, s: Positive = learned(1.0), bits: Bits = 2):
    """Nearest of 2^bits levels from zero up, with a learned step (the paper starts it at 2 mean|x| / sqrt(2^bits - 1))."""
    return s * rounded(minimum(maximum(x / s, 0), 2**bits - 1))


@activation(
    paper="numpy.heaviside",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=-1, zero=False),
)
def step_at(x, threshold=0.0, value: Constant = 0.5):
    """One above a threshold, zero below it, and a value of choice at it; `step` is value 0, SpikingJelly's value 1."""
    return where(x > threshold, 1, where(x < threshold, 0, value))
