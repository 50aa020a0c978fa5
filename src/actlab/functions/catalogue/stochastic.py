"""Stochastic functions: tensor code that draws while training and takes its mean in evaluation."""

from actlab.functions.activation import activation


@activation(
    kind="stochastic",
    arxiv="1505.00853",
    torch="torch.nn.functional.rrelu",
    module="torch.nn.RReLU",
)
def rrelu(x, lower=0.125, upper=0.3333333333333333, *, training=False):
    """Leaky ReLU whose slope below zero is drawn per element while training; the mean slope in evaluation."""
    from torch.nn import functional  # noqa: PLC0415 the catalogue can be listed without waiting for torch

    return functional.rrelu(x, lower, upper, training=training)
