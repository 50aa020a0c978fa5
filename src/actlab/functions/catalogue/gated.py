"""Gated units: a formula in two symbols. A layer takes both packed in the last dimension, value first, as torch.nn.GLU does."""

from actlab.functions.activation import activation
from actlab.functions.formula import maximum, normal_cdf, sigmoid


@activation(kind="gated", arxiv="1612.08083", torch="torch.nn.functional.glu", module="torch.nn.GLU")
def glu(gate, value):
    """The value times the sigmoid of the gate."""
    return value * sigmoid(gate)


@activation(kind="gated", arxiv="2002.05202")
def bilinear(gate, value):
    """The product of two linear maps: a gated unit without any function."""
    return value * gate


@activation(kind="gated", arxiv="2002.05202")
def reglu(gate, value):
    """The value times the ReLU of the gate."""
    return value * maximum(gate, 0)


@activation(kind="gated", arxiv="2002.05202")
def geglu(gate, value):
    """The value times the GELU of the gate."""
    return value * gate * normal_cdf(gate)


@activation(kind="gated", arxiv="2002.05202")
def swiglu(gate, value):
    """The value times the SiLU of the gate; the usual choice of current language models."""
    return value * gate * sigmoid(gate)
