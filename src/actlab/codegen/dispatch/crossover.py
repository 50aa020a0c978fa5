"""The crossover: from how many elements on a kernel beats what torch has, by function, dtype, device and threads; measured.

The package's table (``crossover.toml``) was measured with AVX-512 and with AVX2. Whoever wants certainty measures their own machine once
(``actlab calibrate``): that table lies beside the compiled kernels, holds for this processor and this torch, and comes first.
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
from actlab.system.cache_folder import kernel_folder
from actlab.system.atomic_write import write_atomically

__all__ = ["Sizes", "crossover", "keep", "kept", "merged", "part", "parts", "printed"]

# Elements by name and dtype. "composed" holds those of all functions that torch has no kernel for, and a mapping for each with its own.
Sizes: TypeAlias = Mapping[str, Any]
HERE, WIDE, SEVERAL = "here", "avx512", "threads"
# Sizes for devices that the table has nothing of. Not measured: no card was at hand. A kernel's call costs the host about twice what a
# native operation does; Liger-Kernel's squared ReLU breaks even with torch's three operations at 8M bfloat16 numbers on an H100
# (its own csv file of measurements), 16 MB. Functions that torch has a fused kernel for move the same bytes there and stay with torch.
UNMEASURED = {"cuda": {"composed": {"float32": 2**22, "bfloat16": 2**23, "float16": 2**23}}}


def crossover(name: str, device: str, dtype: torch.dtype, *, native: bool, threads: int = 1) -> float:
    """Return the number of elements from which the kernel beats what torch has; infinite where it never does.

    Args:
        name: of the activation.
        device: "cpu" or "cuda".
        dtype: of the input.
        native: whether torch has a fused kernel of its own for it; without one the kernel's rival is the composed formula.
        threads: torch's. Several have a part of the table of their own, measured with two: torch divides tensors among threads at other
            sizes than the kernels do, and two threads fill the memory's bandwidth with less arithmetic each.

    Example:
        >>> crossover("telu", "cpu", torch.float32, native=False) < 100_000
        True
    """
    key, table = str(dtype).removeprefix("torch."), _table(device, _card(device))
    for where in parts(device, threads):
        sizes = table.get(where, {})
        composed = sizes.get("composed", {})
        entry = sizes.get(name, {}) if native else composed.get(name, composed)
        if key in entry:
            return float(entry[key])
    return inf


def parts(device: str, threads: int) -> list[str]:
    """Return the parts of the table that speak of a case, the closest first: this machine, processors like it, all others.

    Example:
        >>> parts("cuda", 1)
        ['cuda_here', 'cuda']
    """
    is_wide = device == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"
    kinds = [f"{device}_{HERE}", *([f"{device}_{WIDE}"] if is_wide else []), device]
    return [part for kind in kinds for part in ((f"{kind}_{SEVERAL}", kind) if threads > 1 else (kind,))]


def part(device: str, threads: int, *, here: bool) -> str:
    """Return the part that a measurement is written into: this machine's, or that of processors like it."""
    return next(name for name in parts(device, threads) if here or HERE not in name)


@cache
def _table(device: str, card: str) -> dict[str, Any]:  # noqa: ARG001 another card is another machine
    measured = tomllib.loads((files("actlab.codegen.dispatch") / "crossover.toml").read_text(encoding="utf-8"))
    return {**UNMEASURED, **measured, **kept(device)}


def kept(device: str) -> dict[str, Any]:
    """Return what was measured on this machine; nothing where that file is missing or damaged."""
    with contextlib.suppress(OSError, RuntimeError, ValueError, jit.NoCompilerError):
        table = tomllib.loads(_file(device).read_text(encoding="utf-8"))
        if all(
            isinstance(sizes, Mapping) and all(isinstance(s, Mapping) for s in sizes.values())
            for sizes in table.values()
        ):
            return table
    return {}


def keep(device: str, threads: int, sizes: Sizes) -> Path:
    """Keep what was measured on this machine beside what was measured before; layers that are made from now on go by it.

    Args:
        device: "cpu" or "cuda".
        threads: torch's while it was measured.
        sizes: by name and dtype.

    Returns:
        The file.

    Raises:
        OSError: it cannot be written.
    """
    table, where = kept(device), part(device, threads, here=True)
    table[where] = merged(table.get(where, {}), sizes)
    file = _file(device)
    write_atomically(file, "\n".join(line for name in sorted(table) for line in printed(name, table[name])).encode())
    _table.cache_clear()
    return file


def _card(device: str) -> str:
    """Return the card's name; where nothing has run on one yet, nothing: asking would occupy it."""
    return torch.cuda.get_device_name() if device == "cuda" and torch.cuda.is_initialized() else ""  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _file(device: str) -> Path:
    machine = f"{jit.fingerprint()} {torch.__version__} {_card(device)}"
    return kernel_folder().parent / f"crossover-{hashlib.sha256(machine.encode()).hexdigest()[:16]}.toml"


def merged(before: Sizes, found: Sizes) -> dict[str, Any]:
    """Return both; where they speak of the same, what was found last."""
    both = dict(before)
    for key, value in found.items():
        both[key] = merged(before.get(key, {}), value) if isinstance(value, Mapping) else value
    return both


def printed(name: str, sizes: Sizes) -> list[str]:
    """Return the lines of a part or entry, and of those within it, as TOML.

    Example:
        >>> printed("cpu", {"gelu": {"float32": 4096, "float64": inf}})
        ['[cpu.gelu]', 'float32 = 4096', 'float64 = inf', '']
    """
    own = [
        f"{key} = {int(size) if size < inf else 'inf'}" for key, size in sizes.items() if not isinstance(size, Mapping)
    ]
    within = [(key, value) for key, value in sorted(sizes.items()) if isinstance(value, Mapping)]
    head = [f"[{name}]", *own, ""] if own or not within else []
    return head + [line for key, value in within for line in printed(f"{name}.{key}", value)]
