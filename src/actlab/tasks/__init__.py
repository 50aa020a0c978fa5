"""What activations are tried on."""

from actlab.tasks.check import check, hygiene
from actlab.tasks.registry import names, register, resolve
from actlab.tasks.task import Data, Split, Task

__all__ = ["Data", "Split", "Task", "check", "hygiene", "names", "register", "resolve"]
