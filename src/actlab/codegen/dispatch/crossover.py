"""Tensor sizes from which kernels are faster than torch, by function, dtype, device and threads.

The package's table (``crossover.toml``) was measured with AVX-512 and with AVX2. ``actlab calibrate`` measures this machine; its table is
stored beside the compiled kernels, applies to this processor and this version of torch, and takes precedence.
"""

from __future__ import annotations

import contextlib
import hashlib
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any, TypeAlias

import torch

from actlab.codegen.cpu import jit
from actlab.system.atomic_write import write_atomically
from actlab.system.cache_folder import kernel_folder, read_private

__all__ = ["Sizes", "crossover", "load_measured", "merge", "section", "sections", "store_measured", "to_toml"]

# Numbers of elements by name and dtype. "composed" holds those for all functions without a fused kernel in torch, and a mapping for each
# such function with its own.
Sizes: TypeAlias = Mapping[str, Any]
HERE, WIDE, SEVERAL = "here", "avx512", "threads"  # parts of the names of sections
# Sizes for devices that are not in the table. Not measured: no GPU was available. A kernel call costs the host about twice as much as a
# torch operation; Liger-Kernel's squared ReLU breaks even with torch's three operations at 8M bfloat16 numbers, 16 MB, on an H100 (its own
# csv file of measurements). Functions with a fused kernel in torch move the same bytes there and stay with torch.
UNMEASURED = {"cuda": {"composed": {"float32": 2**22, "bfloat16": 2**23, "float16": 2**23}}}


def crossover(name: str, device: str, dtype: torch.dtype, *, native: bool, threads: int = 1) -> float:
    """Return the number of elements from which the kernel is faster than torch; infinite if it never is.

    Args:
        name: name of the activation.
        device: "cpu" or "cuda".
        dtype: dtype of the input.
        native: whether torch has a fused kernel for it; otherwise the kernel is compared with the formula in torch operations.
        threads: number of torch's threads. Several threads have their own section of the table, measured with two: torch divides tensors
            among threads at other sizes than the kernels do, and two threads reach the memory bandwidth with less arithmetic each.

    Example:
        >>> crossover("telu", "cpu", torch.float32, native=False) < 100_000
        True
    """
    key, table = str(dtype).removeprefix("torch."), _table(device, _gpu_name(device))
    for section_name in sections(device, threads):
        sizes = table.get(section_name, {})
        composed = sizes.get("composed", {})
        entry = sizes.get(name, {}) if native else composed.get(name, composed)
        if key in entry:
            return float(entry[key])
    return inf


def sections(device: str, threads: int) -> list[str]:
    """Return the sections of the table that apply, most specific first: this machine, similar processors, all others.

    Example:
        >>> sections("cuda", 1)
        ['cuda_here', 'cuda']
    """
    is_wide = device == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
    kinds = [f"{device}_{HERE}", *([f"{device}_{WIDE}"] if is_wide else []), device]
    return [name for kind in kinds for name in ((f"{kind}_{SEVERAL}", kind) if threads > 1 else (kind,))]


def section(device: str, threads: int, *, here: bool) -> str:
    """Return the section for a new measurement: that of this machine, or that of similar processors."""
    return next(name for name in sections(device, threads) if here or HERE not in name)


@cache
def _table(device: str, gpu: str) -> dict[str, Any]:  # noqa: ARG001 part of the cache key: each GPU has its own file
    measured = tomllib.loads((files("actlab.codegen.dispatch") / "crossover.toml").read_text(encoding="utf-8"))
    return {**UNMEASURED, **measured, **load_measured(device)}


def load_measured(device: str) -> dict[str, Any]:
    """Return the sizes measured on this machine; empty if their file is missing or damaged."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, jit.NoCompilerError):
        table = tomllib.loads((read_private(_file(device)) or b"").decode())
        if all(
            isinstance(sizes, Mapping) and all(isinstance(s, Mapping) for s in sizes.values())
            for sizes in table.values()
        ):
            return table
    return {}


def store_measured(device: str, threads: int, sizes: Sizes) -> Path:
    """Add sizes measured on this machine to those measured before; layers created from now on use them.

    Args:
        device: "cpu" or "cuda".
        threads: number of torch's threads during the measurement.
        sizes: numbers of elements by name and dtype.

    Returns:
        The file.

    Raises:
        OSError: the file cannot be written.
    """
    table, name = load_measured(device), section(device, threads, here=True)
    table[name] = merge(table.get(name, {}), sizes)
    file = _file(device)
    write_atomically(file, "\n".join(line for key in sorted(table) for line in to_toml(key, table[key])).encode())
    _table.cache_clear()
    return file


def _gpu_name(device: str) -> str:
    """Return the name of the GPU; an empty string if CUDA is not initialized, as a query would allocate memory on it."""
    return torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_initialized() else ""  # type: ignore[no-untyped-call] # not annotated in torch


def _file(device: str) -> Path:
    machine = f"{jit.fingerprint()} {torch.__version__} {_gpu_name(device)}"
    return kernel_folder().parent / f"crossover-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.toml"


def merge(before: Sizes, new: Sizes) -> dict[str, Any]:
    """Return both mappings merged recursively; new values replace old ones."""
    both = dict(before)
    for key, value in new.items():
        both[key] = merge(before.get(key, {}), value) if isinstance(value, Mapping) else value
    return both


def to_toml(name: str, sizes: Sizes) -> list[str]:
    """Return the lines of a section and of its subsections as TOML.

    Example:
        >>> to_toml("cpu", {"gelu": {"float32": 4096, "float64": inf}})
        ['[cpu.gelu]', 'float32 = 4096', 'float64 = inf', '']
    """
    entries = [
        f"{key} = {int(size) if size < inf else 'inf'}" for key, size in sizes.items() if not isinstance(size, Mapping)
    ]
    subsections = [(key, value) for key, value in sorted(sizes.items()) if isinstance(value, Mapping)]
    head = [f"[{name}]", *entries, ""] if entries or not subsections else []
    return head + [line for key, value in subsections for line in to_toml(f"{name}.{key}", value)]
