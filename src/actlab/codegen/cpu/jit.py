"""JIT compilation of LLVM code with llvmlite, and the on-disk cache of object files.

llvmlite is the compiler under numba; numba itself is neither needed nor imported. Object files are cached in
``$XDG_CACHE_HOME/actlab/kernels`` (``~/.cache`` if unset), or in ``$ACTLAB_CACHE/kernels``. If the folder cannot be written, kernels are
compiled once per process. Files are written atomically and carry a checksum.
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
from actlab.system.cache_folder import kernel_folder, read_private

__all__ = ["NoCompilerError", "address", "assembly", "features", "fingerprint"]

WIDER_THAN_AVX2 = ("avx512", "avx10", "amx")

_ADDRESSES: dict[tuple[str, str], int] = {}  # of loaded functions, by the digest of their code and their name
_ENGINES: list[Any] = []  # keeps engines alive: LLVM frees compiled code together with its engine


class NoCompilerError(ActlabError):
    """LLVM is not available; the caller falls back to PyTorch."""


@cache
def _llvm() -> Any:
    try:
        import llvmlite.binding as llvm  # noqa: PLC0415 takes 0.1 s, needed only when a kernel is compiled

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    except (ImportError, OSError, RuntimeError) as error:
        raise NoCompilerError(f"Kernels cannot be compiled: {error}. Install llvmlite.") from error
    return llvm


@cache
def _host() -> Any:
    """Return LLVM's map of the processor's features, without those disabled for torch (``ATEN_CPU_CAPABILITY=avx2``)."""
    host = _llvm().get_host_cpu_features()
    if torch.backends.cpu.get_cpu_capability() in {"AVX2", "DEFAULT"}:
        host.update((name, False) for name in list(host) if name.startswith(WIDER_THAN_AVX2))
    return host


@cache
def features() -> frozenset[str]:
    """Return LLVM's names of the processor features in use: ``avx2``, ``fma``, ``f16c``, ..."""
    return frozenset(name for name, present in _host().items() if present)


@cache
def fingerprint() -> str:
    """Return a hash of what object code depends on besides its source: the compiler, the processor and its features."""
    llvm = _llvm()
    parts = (str(llvm.llvm_version_info), llvm.get_process_triple(), llvm.get_host_cpu_name(), *sorted(features()))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@cache
def _target() -> Any:
    llvm = _llvm()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_host().flatten(), opt=2, reloc="pic"
    )


def _optimize(text: str) -> Any:
    """Return the verified and optimized module of LLVM code; without auto-vectorization, as the code is vectorized already."""
    llvm = _llvm()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    builder = llvm.create_pass_builder(_target(), options)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str) -> str:
    """Return the assembly that LLVM code compiles to."""
    code: str = _target().emit_assembly(_optimize(text))
    return code


def address(key: str, text: Callable[[], str], name: str = "kernel") -> int:
    """Return the address of the function ``name`` of LLVM code, compiled or loaded from the cache.

    Args:
        key: everything the code depends on; processor and compiler are added here.
        text: returns the code; called only if the cache has no object with that key.
        name: name of the function.

    Raises:
        NoCompilerError: llvmlite is missing or does not know this processor.
    """
    digest = hashlib.sha256(f"{fingerprint()} {key}".encode()).hexdigest()
    if (digest, name) not in _ADDRESSES:
        _ADDRESSES[digest, name] = _load(_object_code(digest, text), name)
    return _ADDRESSES[digest, name]


def _object_code(digest: str, text: Callable[[], str]) -> bytes:
    """Return the object code of LLVM code, from the cache if it is there."""
    file = _path(digest)
    code = _read(file)
    if code is None:
        code = _target().emit_object(_optimize(text()))
        _write(file, code)
    return code


def _path(digest: str) -> Path | None:
    with contextlib.suppress(RuntimeError, OSError):  # no home directory
        return kernel_folder() / f"{digest}.o"
    return None


def _load(code: bytes, name: str) -> int:
    """Load object code into this process and return the address of a function in it."""
    llvm = _llvm()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    function_address: int = engine.get_function_address(name)
    return function_address


def _read(file: Path | None) -> bytes | None:
    """Return the object code in a file, or None if there is no file or its checksum is wrong."""
    content = read_private(file) if file else None
    if content is None:
        return None
    checksum, code = content[:32], content[32:]
    return code if code and hashlib.sha256(code).digest() == checksum else None


def _write(file: Path | None, code: bytes) -> None:
    """Store object code, unless there is no file name or the folder cannot be written."""
    with contextlib.suppress(OSError):
        if file is not None:
            write_atomically(file, hashlib.sha256(code).digest() + code)


def fuses() -> bool:
    """Whether this processor has fused multiply-add."""
    return bool({"fma", "neon", "asimd", "fp-armv8"} & features()) or _llvm().get_process_triple().startswith(
        ("aarch64", "arm64")
    )


def converts_half() -> bool:
    """Whether this processor converts float16."""
    return "f16c" in features() or _llvm().get_process_triple().startswith(("aarch64", "arm64"))


def writes_lines() -> bool:
    """Whether this processor writes a cache line, 64 bytes, in one instruction."""
    return "avx512f" in features()


def rounds_to_bfloat16() -> bool:
    """Whether this processor has an instruction that rounds float32 to bfloat16."""
    return {"avx512bf16", "avx512vl"} <= features()


def flushes() -> bool:
    """Whether this processor can flush subnormal results to zero by a control register (x86)."""
    return "sse" in features()
