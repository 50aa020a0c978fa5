"""Training of a net that is to be quantised, with the rounding in its forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from actlab.errors import ExportError
from actlab.export.integer.codings import Codings
from actlab.export.integer.fake import FakeNet
from actlab.export.integer.lower import Lowered, lower
from actlab.export.integer.ranges import check_inputs, observe
from actlab.export.integer.settings import QuantizeSettings
from actlab.export.net.layers import Conv, Dense, Layer
from actlab.export.net.net import Net
from actlab.export.refusal import refuse
from actlab.system.options import from_options

__all__ = ["FineTuneOptions", "FineTuneSettings", "fine_tune"]

Floats = np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class FineTuneSettings:
    """How a net is trained with rounding.

    Attributes:
        learning_rate: of Adam.
        rounding: gradient rule of the rounding, of the position in the range of the codes from -1 to 1: ``"clipped"`` passes the gradient
            inside of the range, ``"1"`` everywhere.
        steps: gradient rule of activations with two values, as behind the slash of a spec.
        quantize: of the quantisation that comes afterwards, from which the ranges follow.

    Raises:
        ExportError: the learning rate is not above 0.
    """

    learning_rate: float = 1e-4
    rounding: str = "clipped"
    steps: str = "clipped"
    quantize: QuantizeSettings = field(default_factory=QuantizeSettings)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ExportError(f"learning_rate is a finite number above 0; got {self.learning_rate!r}.")


class FineTuneOptions(TypedDict, total=False):
    """Fields of :class:`FineTuneSettings` as keyword arguments."""

    learning_rate: float
    rounding: str
    steps: str
    quantize: QuantizeSettings


def fine_tune(
    net: Net,
    data: Floats | Sequence[Floats],
    batches: Iterable[tuple[Tensor | Sequence[Tensor], Tensor]],
    loss: Callable[[Any, Tensor], Tensor],
    settings: FineTuneSettings | None = None,
    **options: Unpack[FineTuneOptions],
) -> Net:
    """Return a net whose weights are trained with the errors of its codes; quantise it afterwards.

    Every tensor and weight is rounded in the forward pass where the integer net has codes, with the ranges that the calibration data gives
    before the training. The gradient passes the rounding by a rule, and the activations by their derivatives, those with two values by a
    rule too. Learned numbers of activations, and norms that are folded into no layer, stay as they are.

    Args:
        net: in float32.
        data: calibration data, as in :func:`~actlab.export.integer.quantize.quantize`.
        batches: of the training data, inputs and targets, as often as they shall be seen.
        loss: of the net's output (of a tuple where there are several) and the targets.
        settings: see :class:`FineTuneSettings`.
        options: fields of ``settings`` by name, such as ``learning_rate=1e-3``; they take precedence.

    Raises:
        ExportError: as of :func:`~actlab.export.integer.quantize.quantize`, or the loss becomes NaN or infinite.

    Example:
        >>> from torch import nn
        >>> from actlab.export.net.read import read_net
        >>> model, x = nn.Sequential(nn.Linear(4, 8), nn.Mish(), nn.Linear(8, 3)), torch.randn(64, 4)
        >>> y = torch.randint(0, 3, (64,))
        >>> tuned = fine_tune(read_net(model, x), x.numpy(), [(x, y)] * 5, nn.functional.cross_entropy)
        >>> len(tuned.layers), bool((tuned.layers[0].weight != model[0].weight.detach().numpy()).any())
        (3, True)
    """
    chosen = from_options(FineTuneSettings, settings, options)
    arrays = (data,) if isinstance(data, np.ndarray) else tuple(data)
    lowered = lower(net)
    refuse(net.name, "integers", lowered.refusals)
    check_inputs(lowered, arrays)
    samples = observe(lowered, [np.asarray(x, np.float32) for x in arrays])
    fake = FakeNet(Codings(lowered, samples, chosen.quantize), chosen.rounding, chosen.steps)
    optimizer = torch.optim.Adam(fake.parameters(), lr=chosen.learning_rate)
    for inputs, targets in batches:
        outputs = fake(*([inputs] if isinstance(inputs, Tensor) else inputs))
        value = loss(outputs[0] if len(outputs) == 1 else outputs, targets)
        if not torch.isfinite(value):
            raise ExportError(
                f"The loss is {value.item()} while fine-tuning; lower learning_rate ({chosen.learning_rate:g}), or look at the batches."
            )
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call] # torch's own
        optimizer.step()
    return replace(net, layers=tuple(_trained(layer, fake, lowered) for layer in net.layers))


def _trained(layer: Layer, fake: FakeNet, lowered: Lowered) -> Layer:
    """Return a layer with the trained weights, which may be those of several."""
    if not isinstance(layer, (Conv, Dense)):
        return layer
    weight, bias = layer.weight.copy(), layer.bias.copy()
    for name in fake.weights:
        product, start = lowered.parts.get(name, (name, 0))
        if product == layer.output:
            rows = slice(start, start + len(fake.biases[name]))
            trained = fake.weights[name].detach().numpy()
            weight[rows], bias[rows] = (
                trained * _signs(fake.initial[name], weight[rows]),
                fake.biases[name].detach().numpy(),
            )
    return replace(layer, weight=weight, bias=bias)


def _signs(lowered: Any, own: Any) -> Any:
    """Return the factors of -1 and 1 by input that lowering has multiplied into weights, of shape (1, in, 1, ...)."""
    others = (0, *range(2, own.ndim))
    return np.where((lowered.astype(np.float64) * own).sum(others, keepdims=True) < 0, -1, 1).astype(np.float32)
