"""Ask other packages for their activation classes, build them, and see where they are not finite.

Not run by itself: ``benchmarks/differences.py`` compares what these functions find.
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

WIDE = torch.linspace(-100, 100, 1601)[:, None]  # eighths: 0 and every kink lie on it


class Placeholder(ModuleType):
    """Stands for plotly, which torch_activation imports to draw, and does not require."""

    def __getattr__(self, name: str) -> ModuleType:
        """Return another one."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Placeholder(name)


def registered_alone() -> int:
    """Return how many classes the package registers as ``pip install`` leaves it."""
    code = "import torch_activation; print(len(torch_activation.get_all_activations()))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # noqa: S603 our own text


def classes() -> dict[str, type[nn.Module]]:
    """Return all classes it registers where plotly is there."""
    for name in ("plotly", "plotly.graph_objects", "plotly.io"):
        sys.modules.setdefault(name, Placeholder(name))
    package = importlib.import_module("torch_activation")
    return {name: package._ACTIVATIONS[name]["class"] for name in sorted(package.get_all_activations())}


def echo_classes() -> dict[str, type[nn.Module]]:
    """Return the torch classes of echoAI."""
    home = importlib.import_module("echoAI.Activation.Torch")
    modules = [importlib.import_module(f"{home.__name__}.{info.name}") for info in pkgutil.iter_modules(home.__path__)]
    found = {name: it for module in modules for name, it in vars(module).items() if isinstance(it, type)}
    own = (it for _, it in sorted(found.items()) if it.__module__.startswith(home.__name__))
    return {it.__name__: it for it in own if issubclass(it, nn.Module)}


def build(cls: type[nn.Module], **more: Any) -> nn.Module:
    """Build theirs for evaluation."""
    torch.manual_seed(0)  # some draw their parameters
    try:
        module = cls(**more)
    except TypeError:  # some want the shape of the input
        module = cls(input_shape=1, **more)
    return module.eval()


def prepared(cls: type[nn.Module], table: Mapping[str, Any]) -> nn.Module:
    """Build theirs as the table says."""
    module = build(cls, **table.get("arguments", {}).get(cls.__name__, {}))
    for attribute, value in table.get("values", {}).get(cls.__name__, {}).items():
        parameter = getattr(module, attribute)
        parameter.data = torch.tensor(value, dtype=torch.float64).reshape(parameter.shape)
    return module.double()


def evaluated(function: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return value and gradient; zero where the gradient does not depend on the input."""
    leaf = x.clone().requires_grad_()
    torch.manual_seed(0)
    value = function(leaf * 1)  # not the leaf itself: some work in place
    if not value.requires_grad:
        return value, torch.zeros_like(x)
    (slope,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if slope is None else slope


# --- what is not finite ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What one class does on the wide grid: "finite", an exception, or where value and gradient are not finite."""

    name: str
    error: str = ""
    value: tuple[float, ...] = ()
    gradient: tuple[float, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Whether all is well."""
        return not (self.error or self.value or self.gradient)


def scan(name: str, cls: type[nn.Module]) -> Scan:
    """Evaluate one class at its defaults; a class that raises is a result."""
    try:
        found = [evaluated(build(cls), x) for x in (WIDE, WIDE.T)]
    except Exception as error:  # whatever it raises is what the table says
        return Scan(name=name, error=f"{type(error).__name__}: {str(error).splitlines()[0][:80]}")
    (value, slope), (value_in_row, slope_in_row) = found
    return Scan(name=name, value=not_finite(value, value_in_row), gradient=not_finite(slope, slope_in_row))


def not_finite(*found: Tensor) -> tuple[float, ...]:
    """Return where all of these results are not finite: a function over a dimension may not like a column of single numbers, or one row."""
    bad = [~values.isfinite().flatten() for values in found if values.numel() == WIDE.numel()]
    return tuple(WIDE.flatten()[torch.stack(bad).all(0)].tolist()) if bad else ()


def points(xs: tuple[float, ...]) -> str:
    """Write where: one point, or how many between the outermost."""
    return f"{xs[0]:g}" if len(xs) == 1 else f"{len(xs)} points, {min(xs):g} to {max(xs):g}"
