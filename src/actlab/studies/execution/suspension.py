"""Ctrl-Z that stops the first process between two uses of the store, not within a transaction."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from actlab.studies.execution.template_process import TemplateProcess

__all__ = ["Suspension"]

_STOP = getattr(signal, "SIGTSTP", None)


class Suspension:
    """Context in which a request to stop is answered by :meth:`answer` only.

    A process that is stopped within a transaction would keep every other process from writing until it goes on.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Suspension:
        if _STOP is not None and threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(_STOP)
            if self._before == signal.SIG_DFL:
                signal.signal(_STOP, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if _STOP is not None and self._before == signal.SIG_DFL:
            signal.signal(_STOP, signal.SIG_DFL)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True

    def answer(self, template: TemplateProcess | None) -> None:
        """Stop this process if that was asked for, and the processes of the trials; return when they are to go on.

        Args:
            template: has a session of its own, which the terminal does not reach.
        """
        if self._asked and _STOP is not None:
            self._asked = False
            signal.signal(_STOP, signal.SIG_DFL)
            if template is not None:
                template.signal(signal.SIGSTOP)
            os.kill(os.getpid(), _STOP)
            if template is not None:
                template.signal(signal.SIGCONT)
            signal.signal(_STOP, self._note)
