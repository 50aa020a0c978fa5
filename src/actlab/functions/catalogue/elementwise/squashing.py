"""Piecewise squashing functions, clipped to an interval, such as hard sigmoids and smoothstep."""

from math import inf, pi

from actlab.functions.activation import Claims, Positive, activation
from actlab.functions.formula import Expr, absolute, log1p, maximum, minimum, sign, sin, sqrt, where


def clipped(x: Expr, lower: float, upper: float) -> Expr:
    """Return the input held in an interval."""
    return minimum(maximum(x, lower), upper)


@activation(
    paper="Theano and Keras 2 (hard_sigmoid); ONNX HardSigmoid",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=0, slope_bound=0.2, zero=False),
    aliases=("hard_sigmoid_02", "onnx_hard_sigmoid"),
)
def keras_hard_sigmoid(x, alpha=0.2, beta=0.5):
    """A line of slope 0.2 clipped to [0, 1]: the hard sigmoid of Keras 2 and ONNX, not torch's."""
    return clipped(alpha * x + beta, 0, 1)


@activation(
    arxiv="1602.02830",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=0, slope_bound=0.5, zero=False),
    aliases=("binarynet_hard_sigmoid",),
)
def sparse_sigmoid(x):
    """A line of slope 1/2 clipped to [0, 1]: BinaryNet's hard sigmoid, and sparsemax over two classes."""
    return clipped((x + 1) / 2, 0, 1)


@activation(
    paper="Kwan, Electronics Letters 1992; Wuraola & Patel, IJCNN 2018",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
    aliases=("square_nonlinearity",),
)
def sqnl(x):
    """Two parabolas in the shape of tanh, constant beyond -2 and 2."""
    return where(x > 0, minimum(x, 2) * (1 - minimum(x, 2) / 4), maximum(x, -2) * (1 + maximum(x, -2) / 4))


@activation(
    paper="Zhang, Vassiliadis & Delgado-Frias, IEEE Transactions on Computers 1996; Wuraola, Patel & Nguang 2021",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=0.5, zero=False),
    aliases=("logsqnl",),
)
def log_sqnl(x):
    """Two parabolas in the shape of the logistic function, constant beyond -2 and 2."""
    return where(x > 0, 1 - (1 - minimum(x, 2) / 2) ** 2 / 2, (1 + maximum(x, -2) / 2) ** 2 / 2)


@activation(
    arxiv="2002.07772",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.5, zero=False),
    aliases=("smoothstep",),
)
def smooth_step(x, gamma: Positive = 1.0):
    """A cubic from 0 to 1 over an interval of width gamma."""
    t = clipped(x / gamma + 0.5, 0, 1)
    return t**2 * (3 - 2 * t)


@activation(
    paper="Perlin, SIGGRAPH 2002 (Improving Noise)",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=2, slope_bound=1.875, zero=True),
)
def smootherstep(x):
    """A quintic from 0 to 1 over the unit interval, with two continuous derivatives."""
    low, high = clipped(x, 0, 1), clipped(1 - x, 0, 1)  # each half from its own end, where the slope does not cancel
    return where(x < 0.5, low**3 * (10 - low * (15 - 6 * low)), 1 - high**3 * (10 - high * (15 - 6 * high)))


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=1, slope_bound=1.0, zero=True),
)
def satursin(x):
    """The rising half wave of the sine, constant on both sides."""
    return sin(clipped(x, -pi / 2, pi / 2))


@activation(
    paper="Gallant & White, IEEE International Conference on Neural Networks 1988",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=0.5, zero=False),
)
def cosine_squasher(x):
    """The rising half wave from 0 to 1: the first squasher shown to approximate everything."""
    return (1 + sin(clipped(x, -pi / 2, pi / 2))) / 2


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def logsign_clip(x):
    """The symmetric logarithm clipped to [-1, 1]."""
    return clipped(where(x > 0, log1p(x), -log1p(-x)), -1, 1)


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def logquad_clip(x):
    """The logarithm of 1 + x^2 with the sign of x, clipped to [-1, 1]."""
    return sign(x) * minimum(log1p(minimum(absolute(x), 2) ** 2), 1)  # beyond 1.4 all is 1, and x^2 overflows


@activation(
    arxiv="2512.10938",
    claims=Claims(lower=-1.0, upper=1.0, monotone=True, smoothness=0, slope_bound=inf, zero=True),
)
def power23_clip(x):
    """The power 2/3 with the sign of x, clipped to [-1, 1]; its slope at zero is infinite."""
    return sign(x) * minimum(maximum(absolute(x), 1e-37) ** (2 / 3), 1)  # the base stays above 0: no NaN gradient


@activation(
    paper="Amin, Curtis & Hayes-Gill, IEE Proceedings 1997",
    claims=Claims(lower=0.0, upper=1.0, monotone=False, smoothness=-1, slope_bound=0.25, zero=False),
    aliases=("plan",),
)
def plan_sigmoid(x):
    """Seven lines with power-of-two slopes near the logistic function, for hardware; falls by 1/256 at 2.375."""
    size = absolute(x)
    middle = where(size >= 2.375, size / 32 + 0.34375, size / 8 + 0.125)
    return 0.5 + where(size >= 1, sign(x) * where(size >= 5, 0.5, middle), x / 4)


@activation(
    paper="Redmon, Darknet 2013 (plse)",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=0.125, zero=False),
)
def plse(x):
    """A line of slope 1/8 between -4 and 4, with slope 0.01 outside: a leaky piecewise linear sigmoid."""
    return where(x < -4, 0.01 * (x + 4), where(x > 4, 0.01 * (x - 4) + 1, x / 8 + 0.5))


@activation(
    paper="Redmon, Darknet 2013 (lhtan)",
    claims=Claims(lower=-inf, upper=inf, monotone=True, smoothness=0, slope_bound=1.0, zero=True),
)
def lhtan(x):
    """The identity on [0, 1] with slope 0.001 outside: a leaky hard tanh."""
    return where(x < 0, 0.001 * x, where(x > 1, 0.001 * (x - 1) + 1, x))


@activation(
    paper="Arik & Pfister 2019 (arXiv:1908.07442); the code of pytorch-tabnet",
    claims=Claims(lower=0.0, upper=1.0, monotone=True, smoothness=1, slope_bound=2**0.5 / 4, zero=False),
)
def entmoid15(x):
    """The first weight of the 1.5-entmax of (x, 0): a sigmoid that is exactly 0 below -2 and 1 above 2."""
    held = minimum(absolute(x), 2)
    tail = (
        (4 - held**2) / (2 * (sqrt(8 - held**2) + held))
    ) ** 2  # (sqrt(8 - x^2) - |x|)^2 / 16, without cancelling at 2
    return where(x > 0, 1 - tail, tail)
