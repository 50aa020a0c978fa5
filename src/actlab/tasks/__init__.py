"""Training tasks on which activation functions are compared."""

from actlab.tasks.data import Data, Split
from actlab.tasks.registry import TaskSummary, names, register, resolve, summaries
from actlab.tasks.task import Task

__all__ = ["Data", "Split", "Task", "TaskSummary", "names", "register", "resolve", "summaries"]
