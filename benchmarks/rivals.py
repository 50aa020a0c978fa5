"""Activation classes of other packages, and the inputs for which they are not finite.

Imported by ``benchmarks/differences.py``, which compares them with ActLab's.
"""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

WIDE = torch.linspace(-100, 100, 1601)[:, None]  # multiples of 1/8, which include 0 and all kinks


class Placeholder(ModuleType):
    """Replaces plotly, which torch_activation imports but does not declare as a dependency."""

    def __getattr__(self, name: str) -> ModuleType:
        """Return another placeholder."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder(name)


def count_registered() -> int:
    """Return how many classes the package registers after ``pip install``, without plotly."""
    code = "import torch_activation; print(len(torch_activation.get_all_activations()))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 code above


def classes() -> dict[str, type[nn.Module]]:
    """Return all classes that the package registers with plotly installed."""
    for name in ("plotly", "plotly.graph_objects", "plotly.io"):
        sys.modules.setdefault(name, Placeholder(name))
    package = importlib.import_module("torch_activation")
    return {name: package._ACTIVATIONS[name]["class"] for name in sorted(package.get_all_activations())}


def echo_classes() -> dict[str, type[nn.Module]]:
    """Return the torch classes of echoAI."""
    home = importlib.import_module("echoAI.Activation.Torch")
    modules = [importlib.import_module(f"{home.__name__}.{info.name}") for info in pkgutil.iter_modules(home.__path__)]
    types = {name: cls for module in modules for name, cls in vars(module).items() if isinstance(cls, type)}
    own = (cls for _, cls in sorted(types.items()) if cls.__module__.startswith(home.__name__))
    return {cls.__name__: cls for cls in own if issubclass(cls, nn.Module)}


def build(cls: type[nn.Module], **more: Any) -> nn.Module:
    """Return an instance in evaluation mode."""
    torch.manual_seed(0)  # some have random initial parameters
    try:
        module = cls(**more)
    except TypeError:  # some require the shape of the input
        module = cls(input_shape=1, **more)
    return module.eval()


def build_with_values(cls: type[nn.Module], table: Mapping[str, Any]) -> nn.Module:
    """Return an instance in float64 with the arguments and parameter values of the table."""
    module = build(cls, **table.get("arguments", {}).get(cls.__name__, {}))
    for attribute, value in table.get("values", {}).get(cls.__name__, {}).items():
        parameter = getattr(module, attribute)
        parameter.data = torch.tensor(value, dtype=torch.float64).reshape(parameter.shape)
    return module.double()


def value_and_gradient(function: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return value and gradient; the gradient is zero if the value does not depend on the input."""
    leaf = x.clone().requires_grad_()
    torch.manual_seed(0)
    value = function(leaf * 1)  # not the leaf itself, as some operate in place
    if not value.requires_grad:
        return value, torch.zeros_like(x)
    (slope,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if slope is None else slope


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Result of one class on the wide grid: an exception, or the inputs for which value and gradient are not finite."""

    name: str
    error: str = ""
    value: tuple[float, ...] = ()
    gradient: tuple[float, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Whether there was no exception and all results are finite."""
        return not (self.error or self.value or self.gradient)


def scan(name: str, cls: type[nn.Module]) -> Scan:
    """Evaluate one class with its default arguments; an exception is recorded as a result."""
    try:
        results = [value_and_gradient(build(cls), x) for x in (WIDE, WIDE.T)]
    except Exception as error:  # any exception is a result of the table
        return Scan(name=name, error=f"{type(error).__name__}: {str(error).splitlines()[0][:80]}")
    (value, slope), (value_in_row, slope_in_row) = results
    return Scan(name=name, value=not_finite(value, value_in_row), gradient=not_finite(slope, slope_in_row))


def not_finite(*results: Tensor) -> tuple[float, ...]:
    """Return the inputs for which all results are not finite: functions over a dimension may fail on a column of numbers, or on one row."""
    masks = [~values.isfinite().flatten() for values in results if values.numel() == WIDE.numel()]
    return tuple(WIDE.flatten()[torch.stack(masks).all(0)].tolist()) if masks else ()


def points(xs: tuple[float, ...]) -> str:
    """Describe points: the only one, or their number and range."""
    return f"{xs[0]:g}" if len(xs) == 1 else f"{len(xs)} points, {min(xs):g} to {max(xs):g}"
