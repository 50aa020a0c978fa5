"""Engines whose outputs are compared with a model's, from files, folders, functions or arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from actlab.errors import ExportError
from actlab.export.conform.c_project import compiled_project
from actlab.export.onnx.settings import needed
from actlab.nn.passes.output_tensors import output_tensors
from actlab.nn.sites.dry_run import Arguments

__all__ = ["RUNTIMES", "Engine", "engine_of"]

Array = np.ndarray[Any, np.dtype[Any]]
RUNTIMES = ("onnxruntime", "openvino")
ALLOWED = "an ONNX file, a folder with a C project of actlab export, saved outputs (.npz, .npy), or a Python function"
QUANTISED = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger"}


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Something that computes what a model computes.

    Attributes:
        name: what the user called it.
        runtime: what runs it, with its version.
        run: from the arguments of a call to the outputs, in order.
        repeatable: whether it can be run on other inputs.
        quantised: whether it is known to be quantised.
        step: of its output codes, where it is known.
    """

    name: str
    runtime: str
    run: Callable[[Arguments], list[Array]]
    repeatable: bool = True
    quantised: bool = False
    step: float | None = None


def engine_of(against: Any, runtime: str | None = None) -> Engine:
    """Return the engine that something stands for.

    Args:
        against: a path, a function of the model's inputs, a module, or arrays of outputs.
        runtime: of an ONNX file: "onnxruntime" or "openvino"; None for the first that is installed.

    Raises:
        ExportError: it is none of these, does not exist, or cannot be read.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise ExportError(f"There is no runtime {runtime!r} for ONNX files; there are {' and '.join(RUNTIMES)}.")
    if isinstance(against, (str, Path)):
        return _from_path(Path(against).expanduser(), str(against), runtime)
    if isinstance(against, (np.ndarray, Tensor, tuple, list, dict)):
        arrays = _arrays(against, "The outputs")
        return Engine(name="saved outputs", runtime="saved outputs", run=lambda _: arrays, repeatable=False)
    if callable(against):
        return _from_function(against)
    raise ExportError(f"The engine is a {type(against).__name__}; allowed are {ALLOWED}.")


def _from_path(path: Path, name: str, runtime: str | None) -> Engine:
    if not path.exists():
        hint = " A function is given as file.py:function on the command line only; in Python give the function itself."
        raise ExportError(f"There is no engine {name}; allowed are {ALLOWED}.{hint if '.py:' in name else ''}")
    if path.is_dir():
        project = compiled_project(path)
        return Engine(
            name=name, runtime=project.compiler, run=project.run, quantised=project.step is not None, step=project.step
        )
    kind = path.suffix.lower()
    if kind == ".onnx":
        return _from_onnx(path, name, runtime)
    if kind in {".npz", ".npy"}:
        return _saved(path, name)
    raise ExportError(f"The ending of {name!r} belongs to no engine; allowed are {ALLOWED}.")


def _from_function(function: Callable[..., Any]) -> Engine:
    name = getattr(function, "__qualname__", type(function).__name__)

    def run(arguments: Arguments) -> list[Array]:
        args, kwargs = arguments
        module = function if isinstance(function, nn.Module) and function.training else None
        if module is not None:
            module.eval()
        try:
            with torch.no_grad():
                return _arrays(function(*args, **kwargs), f"The outputs of {name}")
        except ExportError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise ExportError(f"{name} raised on example_inputs: {type(error).__name__}: {error}") from error
        finally:
            if module is not None:
                module.train()

    return Engine(name=name, runtime="Python", run=run)


def _arrays(outputs: Any, what: str) -> list[Array]:
    leaves = tree_leaves(outputs)
    if not all(isinstance(leaf, (np.ndarray, Tensor, np.generic, float, int)) for leaf in leaves):
        leaves = list(output_tensors(outputs))
    arrays = [leaf.detach().cpu().float().numpy() if _is_half(leaf) else np.asarray(leaf) for leaf in leaves]
    if not arrays or any(array.dtype.kind not in "fiub" for array in arrays):
        raise ExportError(f"{what} hold no numbers; allowed are arrays and tensors, in tuples, lists and dicts.")
    return arrays


def _is_half(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.requires_grad or value.dtype == torch.bfloat16 or value.is_cuda)


def _saved(path: Path, name: str) -> Engine:
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            arrays = [loaded[key] for key in loaded.files] if hasattr(loaded, "files") else [loaded]
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ExportError(f"{name} cannot be read as saved arrays without pickles: {error}") from error
    found = _arrays(arrays, f"The arrays of {name}")
    return Engine(name=name, runtime="saved outputs", run=lambda _: found, repeatable=False)


def _from_onnx(path: Path, name: str, runtime: str | None) -> Engine:
    if runtime == "openvino":
        return _with_openvino(path, name, runtime)
    if runtime is None:
        try:
            needed("onnxruntime")
        except ExportError:
            return _with_openvino(path, name, runtime)
    library = needed("onnxruntime")
    options = library.SessionOptions()
    options.log_severity_level = 4  # what fails is raised as well
    try:
        session = library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise ExportError(f"onnxruntime cannot load {name}: {error}") from error
    inputs = session.get_inputs()

    def run(arguments: Arguments) -> list[Array]:
        arrays = _feed(arguments, [each.name for each in inputs], name)
        shapes = [each.shape for each in inputs]
        kinds = [each.type for each in inputs]
        feed = [array.astype(_KINDS.get(kind, array.dtype)) for array, kind in zip(arrays, kinds, strict=True)]
        return _in_batches(lambda parts: session.run(None, _named(inputs, parts)), feed, shapes, name)

    return Engine(name=name, runtime=f"onnxruntime {library.__version__}", run=run, quantised=_is_quantised(path))


_KINDS = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


def _named(inputs: Sequence[Any], arrays: Sequence[Array]) -> dict[str, Array]:
    return {value.name: array for value, array in zip(inputs, arrays, strict=True)}


def _is_quantised(path: Path) -> bool:
    try:
        onnx = import_module("onnx")
    except ImportError:  # then its outputs tell, or the user
        return False
    graph = onnx.load(str(path), load_external_data=False).graph
    return any(node.op_type in QUANTISED for node in graph.node)


def _with_openvino(path: Path, name: str, runtime: str | None) -> Engine:
    try:
        library = import_module("openvino")
    except ImportError as error:
        missing = "neither onnxruntime nor openvino is" if runtime is None else "openvino is not"
        raise ExportError(
            f"{name} is an ONNX file, and {missing} installed: pip install onnxruntime, or openvino."
        ) from error
    try:
        compiled = library.Core().compile_model(str(path), "CPU")
    except Exception as error:  # as above
        raise ExportError(f"openvino cannot load {name}: {error}") from error

    def run(arguments: Arguments) -> list[Array]:
        arrays = _feed(arguments, [str(i) for i in range(len(compiled.inputs))], name)
        return [np.array(value) for value in compiled(arrays).values()]

    return Engine(name=name, runtime=f"openvino {library.__version__}", run=run, quantised=_is_quantised(path))


def _feed(arguments: Arguments, names: Sequence[str], engine: str) -> list[Array]:
    """Return the inputs in the engine's order: by name where the model takes them by name, else in order."""
    args, kwargs = arguments
    if not args and set(kwargs) == set(names):
        tensors = [kwargs[name] for name in names]
    else:
        tensors = [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]
    if len(tensors) != len(names):
        raise ExportError(f"{engine} takes {len(names)} inputs ({', '.join(names)}), and the model {len(tensors)}.")
    return [tensor.detach().cpu().numpy() for tensor in tensors]


def _in_batches(
    run: Callable[[Sequence[Array]], list[Array]], arrays: Sequence[Array], shapes: Sequence[Any], name: str
) -> list[Array]:
    """Run an engine, in parts where its batch is fixed to another size."""
    fixed = {shape[0] for shape in shapes if shape and isinstance(shape[0], int)}
    size = arrays[0].shape[0] if arrays[0].ndim else 1
    part = fixed.pop() if len(fixed) == 1 else size
    try:
        if part == size or not part or size % part:
            return list(run(arrays))
        parts = [run([array[i : i + part] for array in arrays]) for i in range(0, size, part)]
        return [np.concatenate(each) for each in zip(*parts, strict=True)]
    except Exception as error:  # the runtime's errors have no common class
        raise ExportError(f"{name} does not run on example_inputs: {error}") from error
