"""Processor or card on which times were taken, with the instructions that decide how fast a dtype is."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

__all__ = ["Machine", "describe_machine"]

_CPUINFO: Final = Path("/proc/cpuinfo")
#: Instruction sets for vectors and for numbers of 16 bits, as Linux names them, on x86 and ARM.
_INSTRUCTIONS: Final = (
    "avx", "avx2", "f16c", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_fp16",
    "asimd", "asimdhp", "bf16", "sve", "sve2",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Processor or card.

    Attributes:
        device: "cpu" or "cuda".
        name: of the processor or card.
        instructions: instruction sets for vectors and 16-bit numbers that the processor has; empty where the system does not tell, and
            of a card.
        capability: the instruction set for which torch has chosen its kernels, such as "AVX512"; of a card its compute capability.
        cores: of the processor that this process may use.
        threads: of torch.
        memory: of a card, in bytes; None for a processor.
        versions: of Python, torch and the system.
    """

    device: str
    name: str
    instructions: tuple[str, ...]
    capability: str
    cores: int
    threads: int
    memory: int | None
    versions: Mapping[str, str]


def describe_machine(device: str = "cpu", *, cpuinfo: Path = _CPUINFO) -> Machine:
    """Return what the machine is.

    Args:
        device: "cpu" or "cuda".
        cpuinfo: file in which Linux describes the processor.

    Example:
        >>> describe_machine().threads == torch.get_num_threads()
        True
    """
    text = cpuinfo.read_text(encoding="utf-8", errors="replace") if cpuinfo.exists() else ""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "system": platform.platform()}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if device == "cuda":
        card = torch.cuda.get_device_properties(torch.cuda.current_device())
        name, capability, memory = str(card.name), f"{card.major}.{card.minor}", int(card.total_memory)
    else:
        name, capability, memory = _processor(text), torch.backends.cpu.get_cpu_capability(), None
    return Machine(
        device=device,
        name=name,
        instructions=_instructions(text) if device == "cpu" else (),
        capability=capability,
        cores=cores,
        threads=torch.get_num_threads(),
        memory=memory,
        versions=versions,
    )


def _processor(text: str) -> str:
    models: list[str] = re.findall(r"^model name\s*:\s*(.+)", text, re.MULTILINE)
    return models[0] if models else platform.processor() or platform.machine()


def _instructions(text: str) -> tuple[str, ...]:
    line = re.search(r"^(?:flags|Features)\s*:\s*(.+)", text, re.MULTILINE)
    has = set(line[1].split()) if line else set()
    return tuple(name for name in _INSTRUCTIONS if name in has)
