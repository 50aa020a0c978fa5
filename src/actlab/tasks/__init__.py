"""Training tasks on which activation functions are compared."""

from actlab.tasks.check import check
from actlab.tasks.registry import TaskSummary, names, register, resolve, summaries
from actlab.tasks.task import Data, Split, Task

__all__ = ["Data", "Split", "Task", "TaskSummary", "check", "names", "register", "resolve", "summaries"]
