"""Runs of a whole model in the installed runtimes, by its checked ONNX file."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.export.onnx.check import session
from actlab.export.onnx.file import write
from actlab.export.onnx.runtimes import RUNTIMES, Exported, Run, installed_runtimes
from actlab.nn.sites.dry_run import Inputs, copy_inputs

__all__ = ["NetRuns", "net_runs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class NetRuns:
    """A model in runtimes.

    Attributes:
        runs: by name of the runtime and of the batch.
        missing: why there is none, by the same names.
        largest: largest difference of an output from the model's, in onnxruntime.
    """

    runs: Mapping[tuple[str, str], Run]
    missing: Mapping[tuple[str, str], str]
    largest: float


def net_runs(model: nn.Module, batches: Mapping[str, Inputs]) -> NetRuns:
    """Export a model once, and load it in every installed runtime, on one thread.

    Args:
        model: any module on the CPU; a copy of it runs, in eval mode.
        batches: inputs by any name; the model is exported with the first ones, and runs with each.

    Raises:
        ExportError: the model cannot be exported, or a package is missing.
        SiteError: the model raises on the inputs.

    Example:
        >>> import torch
        >>> found = net_runs(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), {"four": torch.zeros(4, 3), "one": torch.zeros(1, 3)})
        >>> found.runs["onnxruntime", "one"]()[0].shape
        (1, 2)
    """
    model = copy.deepcopy(model).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        report = write(model, next(iter(batches.values())), path)
        content = path.read_bytes()
    names = [value.name for value in session(content).get_inputs()]
    runs: dict[tuple[str, str], Run] = {}
    missing: dict[tuple[str, str], str] = {}
    for batch, inputs in batches.items():
        args, kwargs = copy_inputs(inputs)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        feed = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=True)}
        exported = Exported(content=content, feed=feed, model=model, arguments=args, keywords=kwargs)
        for name in RUNTIMES:
            run = _loaded(name, exported)
            if isinstance(run, str):
                missing[name, batch] = run
            else:
                runs[name, batch] = run
    return NetRuns(runs=runs, missing=missing, largest=report.largest)


def _loaded(name: str, exported: Exported) -> Run | str:
    """Return a call that has run once, or why there is none."""
    if name not in installed_runtimes():
        return f"{name} is not installed"
    try:
        run = RUNTIMES[name](exported)
        run()
    except Exception as error:  # runtimes raise anything
        return f"{name} does not run it: {' '.join(str(error).split())[:200]}"
    return run
