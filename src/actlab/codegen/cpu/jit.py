"""Object code: LLVM code becomes machine code for this processor, is kept on disk, and is called by address.

The code is compiled by LLVM through llvmlite, the compiler under numba; numba's own front end is neither needed nor imported. Objects lie
in ``$XDG_CACHE_HOME/actlab/kernels`` (``~/.cache`` if unset), or where ``ACTLAB_CACHE`` says; a directory that cannot be written to is no
error: kernels are then compiled once per process. A file appears whole or not at all, and carries its own checksum.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from actlab.errors import ActlabError
from actlab.system.atomic_write import write_atomically
from actlab.system.cache_folder import kernel_folder

__all__ = ["NoCompilerError", "address", "assembly", "features", "fingerprint"]

WIDER_THAN_AVX2 = ("avx512", "avx10", "amx")

_ALIVE: list[Any] = []  # LLVM frees the code with the engine that owns it


class NoCompilerError(ActlabError):
    """LLVM cannot be used here; whoever asked takes the torch reading instead."""


@cache
def _llvm() -> Any:
    try:
        import llvmlite.binding as llvm  # noqa: PLC0415 0.1 s that only a kernel is worth

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except (ImportError, OSError, RuntimeError) as error:
        raise NoCompilerError(f"No kernel can be compiled: {error}. Install llvmlite.") from error
    return llvm


@cache
def _host() -> Any:
    """Return LLVM's map of the processor's features, without those that torch was told not to use (``ATEN_CPU_CAPABILITY=avx2``)."""
    host = _llvm().get_host_cpu_features()
    if torch.backends.cpu.get_cpu_capability() in {"AVX2", "DEFAULT"}:
        host.update((name, False) for name in list(host) if name.startswith(WIDER_THAN_AVX2))
    return host


@cache
def features() -> frozenset[str]:
    """Return the names of the processor's features that are used, as LLVM has them: ``avx2``, ``fma``, ``f16c``, ..."""
    return frozenset(name for name, present in _host().items() if present)


@cache
def fingerprint() -> str:
    """Return what object code depends on beside its source: the compiler, the processor and its features."""
    llvm = _llvm()
    parts = (str(llvm.llvm_version_info), llvm.get_process_triple(), llvm.get_host_cpu_name(), *sorted(features()))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@cache
def _target() -> Any:
    llvm = _llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_host().flatten(), opt=2, reloc="pic"
    )


def _optimised(text: str) -> Any:
    """Return the module of LLVM code, checked and optimised; the vectors are there already, so nothing is to be vectorised."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(_target(), options)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str) -> str:
    """Return the machine code of LLVM code as text, to be looked at."""
    code: str = _target().emit_assembly(_optimised(text))
    return code


def address(key: str, text: Callable[[], str], name: str = "kernel") -> int:
    """Return the address of the function ``name`` of LLVM code.

    Args:
        key: what the code depends on; the processor and the compiler are added here.
        text: writes the code; called only where no object of that key is kept.
        name: of the function.

    Raises:
        NoCompilerError: llvmlite is missing or does not know this processor.
    """
    digest = hashlib.sha256(f"{fingerprint()} {key}".encode()).hexdigest()
    file = _path(digest)
    code = _read(file)
    if code is None:
        code = _target().emit_object(_optimised(text()))
        _write(file, code)
    return _loaded(code, name)


def _path(digest: str) -> Path | None:
    with contextlib.suppress(RuntimeError, OSError):  # no home directory
        return kernel_folder() / f"{digest}.o"
    return None


def _loaded(code: bytes, name: str) -> int:
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ALIVE.append(engine)
    found: int = engine.get_function_address(name)
    return found


def _read(file: Path | None) -> bytes | None:
    """Return the object in a file, or None if there is none, or not the whole of it."""
    try:
        content = file.read_bytes() if file else b""
    except OSError:
        return None
    checksum, code = content[:32], content[32:]
    return code if code and hashlib.sha256(code).digest() == checksum else None


def _write(file: Path | None, code: bytes) -> None:
    """Keep an object, if that is possible."""
    with contextlib.suppress(OSError):
        if file is not None:
            write_atomically(file, hashlib.sha256(code).digest() + code)


def fuses() -> bool:
    """Return whether this processor multiplies and adds in one rounding."""
    return bool({"fma", "neon", "asimd", "fp-armv8"} & features()) or _llvm().get_process_triple().startswith(
        ("aarch64", "arm64")
    )


def converts_half() -> bool:
    """Return whether this processor converts float16."""
    return "f16c" in features() or _llvm().get_process_triple().startswith(("aarch64", "arm64"))


def writes_lines() -> bool:
    """Return whether this processor writes a line of memory, 64 bytes, in one instruction."""
    return "avx512f" in features()


def rounds_to_bfloat16() -> bool:
    """Return whether this processor rounds float32 to bfloat16."""
    return {"avx512bf16", "avx512vl"} <= features()


def flushes() -> bool:
    """Return whether this processor is an x86 one, which can be told to make zero of results that would be subnormal."""
    return "sse" in features()
