"""Gated linear units, such as GLU, GEGLU and SwiGLU.

A formula in two symbols. A layer takes gate and value packed in the last dimension, or as two tensors, ``layer(gate, value)``.

Which half is the gate differs by library; ``layer(spec, gate=...)`` selects it. "second" (the default): torch, JAX and Keras ``glu``,
x-transformers, timm's GluMlp. "first": vLLM, TransformerEngine, Liger, timm's SwiGLUPacked. "interleaved" (gate at even places):
gpt-oss.
"""

from math import pi

from actlab.functions.activation import NonZero, Positive, activation, learned
from actlab.functions.formula import atan, expm1, maximum, minimum, normal_cdf, sigmoid, softplus, sqrt, tanh, where

SCALE, ALPHA = 1.0507009873554805, 1.6732632423543772  # the fixed point of the SELU paper
TANH_GELU = 0.7978845608028654  # sqrt(2 / pi)
VARIANT = "variant of Shazeer 2020 (arXiv:2002.05202)"


def cauchy_cdf(x):
    """Return the arctangent scaled to (0, 1); below -1 in the form that does not cancel."""
    return where(x > -1, atan(x) / pi + 0.5, -atan(1 / x) / pi)


@activation(kind="gated", arxiv="1612.08083", torch="torch.nn.functional.glu", module="torch.nn.GLU")
def glu(gate, value):
    """The value times the sigmoid of the gate."""
    return value * sigmoid(gate)


@activation(kind="gated", arxiv="2002.05202", aliases=("bilinear_glu", "simple_gate"))
def bilinear(gate, value):
    """The product of two linear maps: a gated unit without any function; NAFNet's SimpleGate."""
    return value * gate


@activation(kind="gated", arxiv="2002.05202", aliases=("gated_relu",))
def reglu(gate, value):
    """The value times the ReLU of the gate."""
    return value * maximum(gate, 0)


@activation(kind="gated", arxiv="2002.05202")
def geglu(gate, value):
    """The value times the GELU of the gate."""
    return value * gate * normal_cdf(gate)


@activation(
    kind="gated",
    paper="Shazeer 2020 (arXiv:2002.05202) with the tanh GELU of T5 v1.1 and Gemma",
    aliases=("gated_gelu", "gated_gelu_new"),  # transformers' T5 reads gated-gelu as gelu_new
)
def geglu_tanh(gate, value):
    """The value times the tanh approximation of the GELU of the gate."""
    return value * gate * sigmoid(2 * TANH_GELU * gate * (1 + 0.044715 * gate**2))  # = (1 + tanh)/2 without cancelling


@activation(kind="gated", paper="NVIDIA TransformerEngine, QGEGLU", aliases=("quick_geglu",))
def qgeglu(gate, value):
    """The value times the sigmoid approximation of the GELU of the gate."""
    return value * gate * sigmoid(1.702 * gate)


@activation(kind="gated", arxiv="2002.05202", aliases=("gated_silu",))
def swiglu(gate, value, beta=1.0):
    """The value times the Swish of the gate; with beta = 1 (SiLU) the usual choice of current language models."""
    return value * gate * sigmoid(beta * gate)


@activation(kind="gated", paper=VARIANT + ", with SELU", aliases=("selu_glu",))
def seglu(gate, value):
    """The value times the SELU of the gate."""
    return value * SCALE * where(gate > 0, gate, ALPHA * expm1(gate))


@activation(kind="gated", paper=VARIANT + ", with Mish", aliases=("mishglu",))
def mish_glu(gate, value):
    """The value times the Mish of the gate."""
    return value * gate * tanh(softplus(gate))


@activation(kind="gated", paper=VARIANT + ", with tanh")
def tanh_glu(gate, value):
    """The value times the tanh of the gate."""
    return value * tanh(gate)


@activation(kind="gated", arxiv="2402.03804", aliases=("sreglu", "squared_reglu"))
def relu2glu(gate, value):
    """The value times the squared ReLU of the gate; TransformerEngine calls it SReGLU."""
    return value * maximum(gate, 0) ** 2


@activation(kind="gated", arxiv="1606.05328", aliases=("gated_tanh_unit",))
def gtu(gate, value):
    """The tanh of the value times the sigmoid of the gate (PixelCNN, WaveNet)."""
    return tanh(value) * sigmoid(gate)


@activation(kind="gated", arxiv="2406.05955", aliases=("drelu",))
def drelu_glu(gate, value):
    """The product of two ReLUs (TurboSparse's dReLU)."""
    return maximum(gate, 0) * maximum(value, 0)


@activation(kind="gated", arxiv="2402.13516")
def fatreglu(gate, value, threshold=0.01):
    """The value times the gate where the gate exceeds a threshold, else zero (ProSparse's FATReLU)."""
    return value * where(gate > threshold, gate, 0)


@activation(kind="gated", paper="Huang 2024 (arXiv:2405.20768), second order, not expanded")
def atglu(gate, value):
    """The value times the gate times an arctangent scaled to (0, 1)."""
    return value * gate * cauchy_cdf(gate)


@activation(kind="gated", arxiv="2405.20768", aliases=("expanded_arctan_glu",))
def xatglu(gate, value, alpha=learned(0.0)):
    """The value times an arctangent of the gate, whose range (0, 1) grows by a learned alpha on both sides."""
    return value * (cauchy_cdf(gate) * (1 + 2 * alpha) - alpha)


@activation(kind="gated", arxiv="2405.20768")
def xgeglu(gate, value, alpha=learned(0.0)):
    """The value times the normal distribution function of the gate, whose range grows by a learned alpha on both sides."""
    return value * (normal_cdf(gate) * (1 + 2 * alpha) - alpha)


@activation(kind="gated", arxiv="2405.20768")
def xswiglu(gate, value, alpha=learned(0.0)):
    """The value times the sigmoid of the gate, whose range grows by a learned alpha on both sides."""
    return value * (sigmoid(gate) * (1 + 2 * alpha) - alpha)


@activation(kind="gated", arxiv="2508.10925", aliases=("gpt_oss_swiglu",))
def swiglu_oai(gate, value, alpha=1.702, limit: Positive = 7.0, offset=1.0):
    """gpt-oss: both clamped first, a sigmoid of slope alpha, and the value moved by one; its weights are interleaved."""
    held = minimum(gate, limit)
    return (minimum(maximum(value, -limit), limit) + offset) * held * sigmoid(alpha * held)


@activation(kind="gated", paper="DeepSeek-AI 2026, DeepSeek-V4", aliases=("deepseek_swiglu", "swiglu_clip"))
def swiglu_clamped(gate, value, limit: Positive = 10.0):
    """DeepSeek-V4 (also HY-V4, GLM-5-next): the gate clamped from above and the value on both sides, then SwiGLU."""
    held = minimum(gate, limit)
    return minimum(maximum(value, -limit), limit) * held * sigmoid(held)


@activation(kind="gated", paper="StepFun 2026, Step-3.5-Flash", aliases=("step_swiglu",))
def swiglu_post_clamped(gate, value, limit: Positive = 7.0):
    """Step-3.5 (also Ling-3): the value clamped, and the gate after its SiLU instead of before."""
    return minimum(maximum(value, -limit), limit) * minimum(gate * sigmoid(gate), limit)


@activation(kind="gated", arxiv="2607.24653", aliases=("situ", "soft_capped_swiglu"))
def situ_glu(gate, value, beta: NonZero = 4.0, linear_beta: NonZero = 25.0):
    """Kimi K3: SwiGLU with the gate's linear factor and the value each capped softly by a scaled tanh."""
    return beta * tanh(gate / beta) * sigmoid(gate) * linear_beta * tanh(value / linear_beta)


@activation(kind="gated", arxiv="2605.25704")
def powlu(gate, value, m: Positive = 3.0):
    """Ling: SwiGLU whose gate grows by a falling power, g^(m / (sqrt(g) + 1)), above zero."""
    return value * sigmoid(gate) * where(gate > 0, gate ** (m / (sqrt(gate) + 1)), gate)


@activation(kind="gated", paper="x-transformers 2.31, GLU with softclamp (the GELU twin of arXiv:2607.24653)")
def soft_capped_geglu(gate, value, beta: NonZero = 4.0, linear_beta: NonZero = 25.0):
    """GEGLU with the gate's linear factor and the value each capped softly by a scaled tanh, as SiTU-GLU caps SwiGLU."""
    return beta * tanh(gate / beta) * normal_cdf(gate) * linear_beta * tanh(value / linear_beta)


@activation(kind="gated", paper="sglang, SituAndMul without a linear limit (arXiv:2607.24653)")
def situ_linear_glu(gate, value, beta: NonZero = 1.0):
    """SiTU-GLU whose value is not capped: SwiGLU with the gate's linear factor capped softly by a scaled tanh."""
    return beta * tanh(gate / beta) * sigmoid(gate) * value


@activation(kind="gated", arxiv="2603.22154")
def dyn_act_glu(gate, value, alpha=learned(1.0), beta=learned(0.0)):
    """SwiGLU whose gate is a learned blend of SiLU and the identity: (alpha - beta) silu(gate) + beta gate."""
    return value * ((alpha - beta) * gate * sigmoid(gate) + beta * gate)
