"""Results of trials whose process ended or was ended, with the reason in words."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from actlab.studies.execution.runner import DESCRIPTORS_CLOSED
from actlab.studies.store.store import TrialKey
from actlab.studies.trials.trial import Trial
from actlab.system.signal_name import signal_name

__all__ = [
    "ENDS_AT_LIMIT",
    "deaths_of_result",
    "ended_how",
    "exited_trial",
    "is_fault",
    "killed_trial",
    "memory_kills",
    "overdue_trial",
]

# Signals of a fault in the code that runs, rather than of a person, a scheduler or the kernel that needs memory.
_FAULTS = frozenset(
    getattr(signal, name, None) for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS")
)
_DEATHS_OF_TRIAL, _DEATHS_FROM_OUTSIDE = 3, 5
#: Which end of a trial is its result if it is one at the limit.
ENDS_AT_LIMIT = 2


def deaths_of_result(number: int, *, out_of_memory: bool) -> int:
    """Return how often processes must be ended on a trial for that to be its result; all but the first while no other trial runs.

    More often where nothing suggests that the trial is the cause.

    Example:
        >>> deaths_of_result(signal.SIGSEGV, out_of_memory=False), deaths_of_result(signal.SIGKILL, out_of_memory=False)
        (3, 5)
    """
    return _DEATHS_OF_TRIAL if number in _FAULTS or out_of_memory else _DEATHS_FROM_OUTSIDE


def is_fault(number: int) -> bool:
    """Return whether a signal is one of a fault in the code that runs.

    Example:
        >>> is_fault(signal.SIGSEGV), is_fault(signal.SIGKILL)
        (True, False)
    """
    return number in _FAULTS


def ended_how(code: int | None) -> str:
    """Return how a process ended, from its exit code; None where it lived on without a connection.

    Example:
        >>> ended_how(-9), ended_how(3), ended_how(None)
        ('was ended by SIGKILL', 'ended with exit code 3', 'did not answer')
    """
    if code is None:
        return "did not answer"
    return f"was ended by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"


def killed_trial(key: TrialKey, number: int, deaths: int, *, out_of_memory: bool, seconds: float) -> Trial:
    """Return the result of a trial on which processes were ended by a signal repeatedly.

    Args:
        key: of the trial.
        number: of the last signal.
        deaths: how often.
        out_of_memory: whether the kernel has ended a process for lack of memory meanwhile.
        seconds: that the last attempt ran.
    """
    fault = number in _FAULTS
    why = " It crashed in native code." if fault else " A later run of the same command tries it again."
    memory = " The kernel ended processes meanwhile because memory ran out." if out_of_memory else ""
    return _ended(
        key,
        f"its process was ended by {signal_name(number)} {deaths} times, the last {deaths - 1} while no other trial ran.{memory}{why}",
        seconds,
        status="out_of_memory" if out_of_memory and not fault else "failed",
        provisional=not fault,
    )


def exited_trial(key: TrialKey, code: int | None, seconds: float) -> Trial:
    """Return the result of a trial whose code ended the process.

    Args:
        key: of the trial.
        code: exit code; None where the process lived on without a connection.
        seconds: that the trial ran.
    """
    if code is None or code == DESCRIPTORS_CLOSED:
        return _ended(
            key, "its code closed file descriptors that it had not opened, such as with os.closerange.", seconds
        )
    return _ended(key, f"its code ended the process with exit code {code}, such as with os._exit({code}).", seconds)


def overdue_trial(key: TrialKey, limit: float, origin: str, seconds: float) -> Trial:
    """Return the result of a trial that was ended because it ran longer than allowed, also alone.

    Args:
        key: of the trial.
        limit: seconds that were allowed.
        origin: where the limit comes from.
        seconds: that the trial ran.
    """
    text = (
        f"it was ended after {seconds:.3g} s, also while no other trial ran: the limit for a trial is {limit:.3g} s ({origin}). "
        "Does it hang? A later run of the same command tries it again; give more time with --trial-limit."
    )
    return _ended(key, text, seconds, provisional=True)


def _ended(key: TrialKey, text: str, seconds: float, **values: Any) -> Trial:
    settings = {"status": "failed", "error": text, "seconds": seconds, **values}
    return Trial(**key._asdict(), **settings)


def memory_kills() -> int:
    """Return how many processes of this machine the kernel has ended for lack of memory; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
