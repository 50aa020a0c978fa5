"""Integer net of a trained model, calibrated on training examples."""
# ruff: noqa: PLC0415 the export is imported when an axis asks for it, as it loads torch's exporter

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from actlab.errors import ExportError
from actlab.evaluate.evaluation_data import EvaluationData
from actlab.evaluate.undefined_axis import UndefinedAxisError

if TYPE_CHECKING:
    from actlab.export.integer.net import IntegerNet

__all__ = ["IntegerModel", "calibration_inputs", "integer_net", "reason_of"]

_CALIBRATION: Final = 512  # training examples by which ranges are set


class IntegerModel(nn.Module):
    """An integer net as a module: takes and returns what the model does, computed by the NumPy reference.

    Args:
        net: with one input and one output.
    """

    def __init__(self, net: IntegerNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers that the output codes stand for.

        Args:
            x: float, shape (batch, ...).
        """
        numbers = self.net.numbers(x.detach().cpu().numpy())[0]
        return torch.from_numpy(numbers.astype(np.float32) if numbers.dtype.kind == "f" else numbers).to(x.device)


def calibration_inputs(data: EvaluationData) -> Tensor:
    """Return the training examples by which ranges are set, float, on the CPU, shape (n, ...).

    Raises:
        UndefinedAxisError: the model takes several inputs, or whole numbers.
    """
    inputs = data.train[0][:_CALIBRATION].cpu()
    if not inputs.is_floating_point():
        raise UndefinedAxisError(f"the inputs are {inputs.dtype}; a net in integers takes codes of float numbers")
    return inputs


def integer_net(model: nn.Module, data: EvaluationData) -> IntegerNet:
    """Return a model in integer arithmetic, with the default settings of the export.

    Args:
        model: in evaluation mode; it stays as it is.
        data: whose training examples set the ranges.

    Raises:
        UndefinedAxisError: the model, or its inputs, have no integer form; with the reasons of the export.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> data = EvaluationData(digits, digits.model(0).eval(), load_data(digits, 0))
        >>> integer_net(data.model, data).numbers(data.inputs[:2].numpy())[0].shape
        (2, 10)
    """
    from actlab.export.integer.quantize import quantize
    from actlab.export.net.read import read_net

    inputs = calibration_inputs(data)
    here: Any = model if data.device == "cpu" else copy.deepcopy(model).cpu()
    try:
        return quantize(read_net(here, inputs, target="int8"), inputs.numpy())
    except ExportError as error:
        raise UndefinedAxisError(reason_of(error)) from error


def reason_of(error: ExportError) -> str:
    """Return a refusal of the export in one line, with its first obstacle.

    Example:
        >>> reason_of(ExportError("Net cannot be exported to int8, and nothing was written. There is 1 obstacle: a in 0."))
        'Net cannot be exported to int8. There is 1 obstacle: a in 0.'
    """
    head, *obstacles = str(error).replace(", and nothing was written", "").split("\n- ")
    return " ".join(" ".join([head, *obstacles[:1]]).split())
