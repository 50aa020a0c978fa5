"""Task of a Python file that defines model and its own training function, train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from actlab.errors import TaskError
from actlab.tasks.task import Task
from actlab.tasks.training_function.function_task import FUNCTION_OPTIONS, function_task, is_training_function
from actlab.tasks.unread_names import check_names
from actlab.tasks.user_code import check_takes_seed

__all__ = ["FUNCTION_SETTINGS", "function_file_task", "is_function_file"]

#: Names that a file with a training function may define.
FUNCTION_SETTINGS: Final = ("train", *FUNCTION_OPTIONS, "rope", "name", "description")


def is_function_file(namespace: Mapping[str, Any]) -> bool:
    """Return whether a file defines its own training: a function ``train``, and not the data and loss that the loop of ActLab trains with.

    Example:
        >>> is_function_file({"model": len, "train": len}), is_function_file({"model": len, "train": len, "data": len, "loss": len})
        (True, False)
    """
    has_loop = "data" in namespace and ("loss" in namespace or "step" in namespace)
    return "model" in namespace and is_training_function(namespace.get("train")) and not has_loop


def function_file_task(namespace: Mapping[str, Any], file: Path, origin: Mapping[str, Any]) -> Task:
    """Return the task of such a file.

    Args:
        namespace: what the file defines.
        file: its path.
        origin: fields of the task that say where it is from.

    Raises:
        TaskError: a name has the wrong kind of value, or looks like a setting and has no effect; metric or direction cannot be known.
    """
    check_takes_seed("model", namespace["model"], file, "a function: model(seed) -> torch.nn.Module")
    check_names(namespace, str(origin["source"]), file, FUNCTION_SETTINGS)
    options: dict[str, Any] = {name: namespace[name] for name in FUNCTION_OPTIONS if name in namespace}
    named = {name: namespace[name] for name in ("rope", "name", "description") if name in namespace}
    try:
        return function_task(namespace["train"], fields={"name": file.stem, **named, **origin}, **options)
    except TaskError as error:
        other = " (For the loop of ActLab the file lacks loss.)" if "data" in namespace else ""
        raise TaskError(f"{file}: {error}{other}") from None
