"""Vector functions: each output depends on all elements along a dimension. Tensor code, since no scalar formula exists."""

from actlab.functions.activation import activation


@activation(kind="vector", paper="Bridle 1990", torch="torch.softmax(x, dim=-1)", module="torch.nn.Softmax(dim=-1)")
def softmax(x):
    """Exponentials along the last dimension, normalised to sum 1."""
    return x.softmax(dim=-1)


@activation(
    kind="vector",
    paper="Bridle 1990",
    torch="torch.log_softmax(x, dim=-1)",
    module="torch.nn.LogSoftmax(dim=-1)",
)
def log_softmax(x):
    """The logarithm of the softmax, without its underflow."""
    return x.log_softmax(dim=-1)


@activation(kind="vector", paper="folklore", torch="torch.softmax(-x, dim=-1)", module="torch.nn.Softmin(dim=-1)")
def softmin(x):
    """The softmax of the negated input."""
    return (-x).softmax(dim=-1)
