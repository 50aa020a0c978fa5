"""Read and write packed nets as npz files with a JSON header, without pickle.

``docs/reference/binary_format.md`` describes the format.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from actlab.errors import PackError, did_you_mean
from actlab.export.packed.archive import read_arrays
from actlab.export.packed.header import check_setting, parse_json
from actlab.export.packed.operations import OPS, Op
from actlab.export.packed.pack import PackedNet
from actlab.export.packed.value_shapes import check_arrays, check_shapes

__all__ = ["FORMAT", "VERSION", "load_packed", "save_packed"]

FORMAT: Final = "actlab-packed-net"
VERSION: Final = 1
_HEADER: Final = "header"
# Dtypes by field; a threshold's value is int32 or float32, and all other fields are float32.
_DTYPES: Final = {"words": "<u4", "above": "|u1"}
_FLOAT: Final = "<f4"
_INTEGER: Final = "<i4"

Array = npt.NDArray[Any]


def save_packed(net: PackedNet, path: str | Path) -> Path:
    """Write a packed net.

    The same net gives the same bytes. An existing file is replaced atomically.

    Args:
        net: a packed net, see :func:`actlab.export.packed.pack.pack`.
        path: path of the file; no extension is appended.

    Returns:
        The path.

    Raises:
        PackError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from actlab.nn.layers.binary import BinaryLinear
        >>> from actlab.export.packed.pack import pack
        >>> net = pack(BinaryLinear(8, 2), torch.ones(1, 8))
        >>> path = save_packed(net, Path(tempfile.mkdtemp()) / "net.npz")
        >>> bool((load_packed(path)(torch.ones(1, 8)) == net(torch.ones(1, 8))).all())
        True
    """
    path = Path(path)
    ops: list[dict[str, Any]] = []
    arrays: dict[str, Array] = {}
    for index, op in enumerate(net.ops):
        fields_ = {name: _array(name, tensor) for name, tensor in op.tensors.items()}
        arrays |= {f"{index}.{name}": array for name, array in fields_.items()}
        ops.append({"op": op.name, "arrays": sorted(fields_), **op.settings})
    header = {
        "format": FORMAT,
        "version": VERSION,
        "input": {"shape": net.input_shape, "whole": net.whole_inputs, "largest": net.largest_input},
        "ops": ops,
    }
    text = np.frombuffer(json.dumps(header, indent=1).encode(), dtype=np.uint8)
    draft = path.with_name(path.name + ".part")
    try:
        with draft.open("wb") as file:
            np.savez(file, **cast("dict[str, Any]", {_HEADER: text, **arrays}))
        draft.replace(path)
    except OSError as error:
        raise PackError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def _array(name: str, tensor: Tensor) -> Array:
    array = tensor.detach().cpu().contiguous().numpy()
    if name == "words":
        return array.view(np.uint32).astype("<u4", copy=False)
    return array.astype(_INTEGER if array.dtype == np.int32 else array.dtype.newbyteorder("<"), copy=False)


def load_packed(path: str | Path) -> PackedNet:
    """Read a packed net, and check its header against its arrays.

    Raises:
        PackError: the file is missing, damaged, truncated, of another format or version, or its parts do not fit each other.

    Example:
        >>> load_packed("nowhere.npz")
        Traceback (most recent call last):
        ...
        actlab.errors.PackError: nowhere.npz cannot be read: No such file or directory.
    """
    path = Path(path)
    arrays = read_arrays(path)
    header = _header(path, arrays)
    ops = [_op(path, index, dict(entry), arrays) for index, entry in enumerate(header["ops"])]
    unused = sorted(arrays.keys() - {_HEADER} - {f"{i}.{n}" for i, op in enumerate(ops) for n in op.tensors})
    if unused:
        raise PackError(f"{path} contains arrays that its header does not name: {', '.join(unused[:4])}.")
    inputs = header["input"]
    net = PackedNet(
        ops=tuple(ops),
        input_shape=tuple(inputs["shape"]),
        whole_inputs=inputs["whole"],
        largest_input=inputs["largest"],
    )
    try:
        check_shapes(net.ops, net.input_shape)
    except PackError as error:
        raise PackError(f"The operations of {path} do not fit each other. {error}") from error
    return net


def _header(path: Path, arrays: Mapping[str, Array]) -> dict[str, Any]:
    if _HEADER not in arrays:
        raise PackError(
            f"{path} is no file of a packed net: it has no {_HEADER}, but {', '.join(sorted(arrays)[:4]) or 'nothing'}."
        )
    try:
        header = parse_json(arrays[_HEADER].tobytes())
    except (ValueError, RecursionError) as error:
        raise PackError(f"The header of {path} is not valid JSON ({error}).") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise PackError(f"{path} is no file of a packed net: its header does not say {FORMAT!r}.")
    if header.get("version") != VERSION:
        raise PackError(
            f"{path} is of version {header.get('version')!r}; this ActLab reads version {VERSION}. Update it, or write the file again."
        )
    if not _has_inputs(header.get("input")) or not (
        isinstance(header.get("ops"), list) and all(isinstance(entry, dict) for entry in header["ops"])
    ):
        raise PackError(f"The header of {path} lacks its inputs or its operations.")
    return header


def _has_inputs(inputs: Any) -> bool:
    """Whether a value is the header's entry on the inputs."""
    return (
        isinstance(inputs, dict)
        and inputs.keys() == {"shape", "whole", "largest"}
        and isinstance(inputs["shape"], list)
        and 0 < len(inputs["shape"]) <= 8
        and all(check_setting("shape", "int", size) for size in inputs["shape"])
        and isinstance(inputs["whole"], bool)
        and (inputs["largest"] == 0 or check_setting("largest", "int", inputs["largest"]))
    )


def _op(path: Path, index: int, entry: dict[str, Any], arrays: Mapping[str, Array]) -> Op:
    name = entry.pop("op", None)
    if not isinstance(name, str) or name not in OPS:
        shown = repr(name)[:80]
        raise PackError(
            f"Operation {index} of {path} is {shown}, which is unknown.{did_you_mean(shown.strip(chr(39)), OPS)}"
        )
    kind = OPS[name]
    known = {f.name: f for f in fields(kind)}
    array_names = entry.pop("arrays", None)
    if not isinstance(array_names, list) or not all(isinstance(f, str) for f in array_names):
        raise PackError(f"Operation {index} of {path}, {name}, has no list of its arrays.")
    unknown = sorted({*array_names, *entry} - known.keys())
    if unknown:
        raise PackError(f"Operation {index} of {path}, {name}, has unknown fields: {unknown[:4]}.")
    missing = [f for f, field in known.items() if field.default is MISSING and f not in {*array_names, *entry}]
    missing += [f"array {f}" for f in array_names if f"{index}.{f}" not in arrays]
    if missing:
        raise PackError(f"Operation {index} of {path}, {name}, lacks {', '.join(missing[:4])}.")
    types = {f: str(field.type) for f, field in known.items()}
    wrong = [f for f, value in entry.items() if not check_setting(f, types[f], value)]
    wrong += [f for f in array_names if "Tensor" not in types[f] or f in entry]
    if wrong:
        raise PackError(f"Operation {index} of {path}, {name}, has a field of another type: {', '.join(wrong[:4])}.")
    tensors = {f: _tensor(path, f"{index}.{f}", arrays[f"{index}.{f}"]) for f in array_names}
    settings = {f: tuple(value) if isinstance(value, list) else value for f, value in entry.items()}
    op = kind(**settings, **tensors)
    check_arrays(op)
    return op


def _tensor(path: Path, name: str, array: Array) -> Tensor:
    field = name.partition(".")[2]
    allowed = {_DTYPES.get(field, _FLOAT)} | ({_INTEGER} if field == "value" else set())
    if array.dtype.str not in allowed:
        raise PackError(f"The array {name} of {path} is {array.dtype}; allowed is {' or '.join(sorted(allowed))}.")
    native = array.astype(array.dtype.newbyteorder("="))
    return torch.from_numpy(native.view(np.int32) if field == "words" else native)
