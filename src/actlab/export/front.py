"""Export of a model to a file whose format follows from its name.

Each target is one entry of :data:`TARGETS`: the endings of its files and the function that writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from actlab.errors import ExportError, did_you_mean
from actlab.export.report import ExportReport
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.sites.dry_run import Inputs

__all__ = ["TARGETS", "Target", "export", "target_of"]


@dataclass(frozen=True, kw_only=True)
class Target:
    """A format.

    Attributes:
        endings: of file names that stand for it.
        function: module below ``actlab.export`` and function, ``write(model, example_inputs, path, **options)``.
        what: the format in words.
    """

    endings: tuple[str, ...]
    function: tuple[str, str]
    what: str


TARGETS: Mapping[str, Target] = {
    "onnx": Target(endings=(".onnx",), function=("onnx.file", "write"), what="an ONNX file"),
    "int8": Target(endings=(), function=("c99.integer.write", "write"), what="a C99 project in int8"),
    "c99": Target(endings=(".c",), function=("c99.write", "write"), what="a C99 project"),
}


@takes_model
def export(
    model: nn.Module, example_inputs: Inputs, path: str | Path, *, to: str | None = None, **options: Any
) -> ExportReport:
    """Write a model to a file for another runtime.

    The model is exported as it computes in eval mode; its own mode, weights and buffers stay as they are. Everything is checked before
    anything is written: what cannot be exported is refused by name, place and reason, all of it at once, and the file is compared with the
    model in the runtime. An existing file is replaced atomically.

    Args:
        model: any module, with activations of ActLab, of torch, or written as functions.
        example_inputs: a batch: a tensor, a tuple of positional arguments, or a dict of keyword arguments. The first dimension is the
            batch, of any size in the file.
        path: of the file; its ending says the format: ``.onnx``, ``.c``. A C99 project is a folder, called as the path without ``.c``.
        to: the format, "onnx", "c99" or "int8", where the ending does not say it.
        options: of the format, see :class:`actlab.export.onnx.settings.OnnxSettings`,
            :class:`actlab.export.c99.settings.C99Settings` and :class:`actlab.export.c99.integer.settings.Int8Settings`.

    Returns:
        The activations in the file and how they are computed, the largest differences, and what differs at NaN and infinities.

    Raises:
        ExportError: the model cannot be exported, the format is unknown, or a package is missing.
        SiteError: the model raises on the inputs.
        TypeError: an option is unknown.

    Example:
        >>> import tempfile, torch, actlab
        >>> net = nn.Sequential(nn.Linear(4, 8), actlab.layer("mish"), nn.Linear(8, 2))
        >>> file = Path(tempfile.mkdtemp()) / "net.onnx"
        >>> report = actlab.export(net, torch.randn(16, 4), file)
        >>> report.activations[0].spec, report.largest < 1e-5, file.exists()
        ('mish', True, True)
    """
    path = Path(path).expanduser()
    name = target_of(path, to)
    if not path.parent.is_dir():
        raise ExportError(f"The folder of {path} does not exist; create it first.")
    module, called = TARGETS[name].function
    report: ExportReport = getattr(import_module(f"actlab.export.{module}"), called)(
        model, example_inputs, path, **options
    )
    return report


def target_of(path: Path, to: str | None = None) -> str:
    """Return the name of the format.

    Raises:
        ExportError: ``to`` names no format, or the ending of the file belongs to none.

    Example:
        >>> target_of(Path("net.onnx")), target_of(Path("net"), "onnx")
        ('onnx', 'onnx')
    """
    if to is not None:
        if to not in TARGETS:
            raise ExportError(f"There is no format {to!r}.{did_you_mean(to, list(TARGETS))} {_allowed().capitalize()}.")
        return to
    for name, target in TARGETS.items():
        if path.suffix.lower() in target.endings:
            return name
    raise ExportError(
        f"The ending of {path.name!r} belongs to no format. Name the file net.onnx or net.c, or say the format: to='onnx'."
    )


def _allowed() -> str:
    return "formats: " + ", ".join(TARGETS)
