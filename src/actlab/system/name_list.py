"""Lists of names in a sentence, hints at what a task is, and the number at the end of a name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from actlab.errors import TaskError

__all__ = ["check_is_no_saved_model", "listed", "split_number", "task_hint"]

_TORCH = "model.load_state_dict(torch.load({name!r}, weights_only=True))"
_TENSORS = "safetensors.torch.load_model(model, {name!r})"
WEIGHTS = dict.fromkeys((".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"), _TORCH) | {".safetensors": _TENSORS}
"""How the weights of a file are loaded, by its ending."""
EXPORTED = (".onnx", ".pte", ".pt2", ".tflite", ".h5", ".keras", ".mlmodel")
"""Endings of models for other runtimes."""

_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>0|[1-9]\d*|(?:0|[1-9]\d*)\.\d*[1-9])")


def listed(names: Iterable[str]) -> str:
    """Return names separated by commas and a final "and".

    Example:
        >>> listed(["gelu", "silu", "relu"]), listed(["gelu"]), listed([])
        ('gelu, silu and relu', 'gelu', '')
    """
    *others, last = [*names] or [""]
    return f"{', '.join(others)} and {last}" if others else last


def split_number(name: str) -> tuple[str, float] | None:
    """Return the part of a name before its number, and the number, an int where it is whole; None for a name without one.

    Numbers have one spelling only: no leading zeros, no zeros at the end of a fraction, no sign.

    Example:
        >>> split_number("fashion-mnist:depth-20"), split_number("ones-0.5"), split_number("depth-020"), split_number("fashion-mnist")
        (('fashion-mnist:depth', 20), ('ones', 0.5), None, None)
    """
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return None
    text = found["number"]
    return found["stem"], float(text) if "." in text else int(text)


def task_hint(names: Iterable[str]) -> str:
    """Return where the tasks of these names are listed, with the part of their names before the colon.

    Example:
        >>> task_hint(["digits", "digits:cnn", "gan"])
        '`actlab tasks` lists all 3, of digits and gan; a task can also be the path of your own Python file (my_task.py).'
    """
    every = list(names)
    families = listed(dict.fromkeys(name.partition(":")[0] for name in every))
    return f"`actlab tasks` lists all {len(every)}, of {families}; a task can also be the path of your own Python file (my_task.py)."


def check_is_no_saved_model(source: str | Path) -> None:
    """Refuse weights, pickles and exported files, which are never opened: a pickle runs the code that it holds.

    Raises:
        TaskError: the source ends like one.

    Example:
        >>> check_is_no_saved_model("my_model.py")
    """
    path = Path(source)
    ending = path.suffix.lower()
    if ending in WEIGHTS:
        raise TaskError(
            f"{path} holds weights or a pickle, which ActLab does not open, as a pickle runs the code in it. Name a Python file that "
            "defines model and example_inputs, and loads the weights: "
            f"{WEIGHTS[ending].format(name=path.name)}."
        )
    if ending in EXPORTED:
        raise TaskError(
            f"{path} is a model that was exported already; a command on models needs it in PyTorch. Name a Python file that defines model "
            f"and example_inputs; `actlab conform my_model.py --against {path.name}` tells what an exported one computes."
        )
