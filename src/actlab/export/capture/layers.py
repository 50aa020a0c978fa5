"""Activation layers of a model, which trace as one node each inside a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import nn

from actlab.export.capture.formulas import Formulas
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.deferred import Deferred

__all__ = ["activation_layers", "as_nodes"]


def activation_layers(model: nn.Module) -> Iterator[ActivationLayer]:
    """Yield the activation layers of a model, also those that the layer behind them computes.

    Example:
        >>> import actlab
        >>> [str(layer.spec) for layer in activation_layers(actlab.ActLinear("gelu", nn.Linear(2, 2)))]
        ['gelu']
    """
    for module in model.modules():
        if isinstance(module, ActivationLayer):
            yield module
        elif isinstance(module, Deferred):
            yield from activation_layers(module.activation)


@contextmanager
def as_nodes(model: nn.Module, formulas: Formulas) -> Iterator[None]:
    """Have the layers with a formula add a node of their own to the graph that is traced; the others are traced as tensor code.

    Args:
        model: any module.
        formulas: where the formulas are kept.
    """
    with ExitStack() as stack:
        for layer in activation_layers(model):
            if layer.spec.activation.expression is not None:
                stack.enter_context(layer.traced_as(formulas.of_spec(layer.spec)))
        yield
