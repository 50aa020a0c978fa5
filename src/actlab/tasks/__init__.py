"""Training tasks on which activation functions are compared."""

from actlab.tasks.check import check
from actlab.tasks.registry import names, register, resolve
from actlab.tasks.task import Data, Split, Task

__all__ = ["Data", "Split", "Task", "check", "names", "register", "resolve"]
