"""State of a process that user code may change, as it was and restored."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import torch

if sys.platform != "win32":
    import resource

__all__ = ["restorations", "restored_process"]

_Reader = Callable[[], Any]
_restored = 0

_HANDLED = tuple(sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}))


def _folder() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 # a third of the time
    except OSError:  # it was deleted
        return None


def _set_folder(folder: str | None) -> None:
    if folder is not None:
        with suppress(OSError):
            os.chdir(folder)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _HANDLED]


def _limits() -> dict[int, tuple[int, int]]:
    if sys.platform == "win32":
        return {}
    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    return {number: resource.getrlimit(number) for name in names if (number := getattr(resource, name)) >= 0}


def _place() -> tuple[Any, ...]:
    """Return session, process group, allowed cores, and whether an alarm is set."""
    parts = [getattr(os, name, None) for name in ("getsid", "getpgid", "sched_getaffinity")]
    alarm = hasattr(signal, "getitimer") and signal.getitimer(signal.ITIMER_REAL)[0] > 0
    return (*(part and part(0) for part in parts), alarm)


def _set_handlers(handlers: list[Any]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # where they cannot be changed
    for number, handler in zip(_HANDLED, handlers, strict=True):
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


# How each part is read and set. A part that cannot be set is compared only.
_PARTS: tuple[tuple[_Reader, Callable[[Any], Any] | None], ...] = (
    (_folder, _set_folder),
    (_umask, os.umask),
    (_handlers, _set_handlers),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch._C._set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_default_device, None),
    (lambda: sys.float_info.min / 2 == 0, torch.set_flush_denormal),
    (torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled),
    (torch._C._get_nnpack_enabled, torch._C._set_nnpack_enabled),
    (torch._C._get_flash_sdp_enabled, torch._C._set_sdp_use_flash),
    (torch._C._get_math_sdp_enabled, torch._C._set_sdp_use_math),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (_limits, None),
    (_place, None),
    (lambda: os.nice(0) if hasattr(os, "nice") else 0, None),
)


def restorations() -> int:
    """Return how often :func:`restored_process` found a change; a process in which that happened may be replaced by a fresh one.

    Example:
        >>> before = restorations()
        >>> with restored_process():
        ...     torch.set_default_dtype(torch.float64)
        >>> torch.get_default_dtype(), restorations() - before
        (torch.float32, 1)
    """
    return _restored


@contextmanager
def restored_process() -> Iterator[None]:
    """Restore what user code in the block changes of the process.

    That is the working folder, the umask, the handlers of signals, and torch's default dtype, number of threads and switches for gradients,
    determinism and precision. Environment variables are left alone: libraries set them when they are first imported, and rely on them. A
    call of ``os._exit`` raises :class:`SystemExit` instead.
    """
    global _restored  # noqa: PLW0603 # a count of this process
    before, leave, process = [read() for read, _ in _PARTS], os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:  # in a fork that user code made
            leave(status)
        raise SystemExit(f"os._exit({status}) was called")

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = leave
        changed = [(part, old) for part, old in zip(_PARTS, before, strict=True) if part[0]() != old]
        _restored += bool(changed)
        for (_, restore), old in changed:
            if restore is not None:
                restore(old)
