"""Load a task from a Python file with model, data, loss, metric and direction, or model and train."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Mapping
from functools import partial
from importlib.util import decode_source
from pathlib import Path
from types import ModuleType
from typing import Any

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.neighbour_modules import allow_imports_from, shadowed
from actlab.tasks.setting_names import OPTIONAL, REQUIRED, nearest_setting
from actlab.tasks.task import Task
from actlab.tasks.training_function.function_file import function_file_task, is_function_file
from actlab.tasks.unread_names import check_names, defined_names
from actlab.tasks.user_code import check_takes_seed, user_code

__all__ = ["is_file", "load", "run_file"]

_EXPECTED = {
    "model": "a function: model(seed) -> torch.nn.Module",
    "data": "a function: data(seed) -> Data, or {'train': (x, y), 'test': (x, y)}, or datasets or DataLoaders in the place of (x, y)",
    "loss": "a function: loss(output, target) -> scalar tensor; or step(model, batch) -> loss",
    "metric": "a function: metric(output, target) -> number; or metrics, a dict of such functions",
    "direction": "'max' or 'min': whether a larger or a smaller metric is better",
}


_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)  # at the top of a file

#: What stands in the place of a required name.
_INSTEAD = {"loss": "step", "metric": "metrics"}


def load(path: str | Path) -> Task:
    """Load a task from a Python file; modules in the file's folder can be imported.

    Args:
        path: of the file.

    Raises:
        TaskError: the file does not exist, raises when it is run, lacks a name, or defines a name like that of a setting which nothing
            reads, such as ``lr``.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "my_task.py"
        >>> _ = file.write_text("model = data = loss = metric = lambda *a: None; direction = 'max'; epochs = 3")
        >>> load(file).name, load(file).epochs
        ('my_task', 3)
    """
    file = _existing_file(Path(path).expanduser())
    text = file.read_text(encoding="utf-8", errors="replace")
    _check_no_script(text, file)
    namespace = vars(_import_file(file))
    origin: dict[str, Any] = {"source": text, "file": str(file.resolve())}
    if is_function_file(namespace):
        return function_file_task(namespace, file, origin)
    settings = _settings(namespace, text, file)
    settings.setdefault("name", file.stem)
    check_names(namespace, text, file)
    return Task(**settings, **origin)


def is_file(source: str | Path) -> bool:
    """Return whether a source is a path rather than the name of a task: it ends in ``.py``, or exists.

    Example:
        >>> is_file("my_task.py"), is_file("digits")
        (True, False)
    """
    return str(source).endswith(".py") or Path(source).exists()


def run_file(path: Path) -> dict[str, Any]:
    """Run a Python file and return the names it defines.

    Raises:
        TaskError: the file does not exist, or raises when it is run.
    """
    return vars(_import_file(_existing_file(path)))


def _existing_file(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir():
        inside = ", ".join(_python_files(path))
        hint = f"Did you mean one of {inside}?" if inside else "It holds no .py file."
        raise TaskError(f"{path} is a folder; a task is one Python file. {hint}")
    near = did_you_mean(path.name, _python_files(path.parent))
    raise TaskError(
        f"There is no file {path}.{near} A task is a registered name or a Python file; "
        f"looked in {path.parent.resolve()}."
    )


def _check_no_script(text: str, file: Path) -> None:
    """Check that a file is no training script, before it is run: that might train for hours."""
    calls = [call for call in ("actlab.apply_", "actlab.report") if f"{call}(" in text]
    functions = set(_FUNCTION.findall(text))
    is_task = "model" in functions and bool(functions & {"data", "train"})  # which may be a script as well
    if len(calls) == 2 and not is_task:
        raise TaskError(
            f"{file} is a training script, as it calls {listed(calls)}. It is run as a command: actlab compare --script "
            f"'python {file} --seed {{seed}}' ..., or actlab.compare(actlab.Script('python {file}'), ...) in Python."
        )


def _python_files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.py")) if folder.is_dir() else []


def _import_file(file: Path) -> ModuleType:
    """Run the file as a module whose name follows from its path, so that the same file is the same module."""
    full = str(file.resolve())
    name = f"actlab_task_{file.stem}_{hashlib.sha256(full.encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise TaskError(f"{file} cannot be run as Python; a task is a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    allow_imports_from(file.resolve().parent)
    try:
        with user_code(f"The task file {file}"):
            spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, TaskError) and isinstance(error.__cause__, ImportError | AttributeError):
            raise TaskError(f"{error}{_shadow_hint(file)}") from error.__cause__
        raise
    return module


def _shadow_hint(file: Path) -> str:
    """Return what to do about a file beside the task that has the name of an installed module."""
    names = shadowed(file.resolve().parent, decode_source(file.read_bytes()))
    return "".join(
        f"\nBeside it is {name}.py, but `import {name}` gives the installed module of this name; rename the file."
        for name in names
    )


def _settings(namespace: Mapping[str, Any], text: str, file: Path) -> dict[str, Any]:
    missing = [name for name in REQUIRED if name not in namespace and _INSTEAD.get(name) not in namespace]
    if missing:
        raise TaskError(_missing_message(missing, namespace, file))
    defined = defined_names(text, namespace)  # without variables of loops, such as `for step in range(3)`
    settings = {name: namespace[name] for name in (*REQUIRED, *OPTIONAL) if name in namespace and name in defined}
    if "example_inputs" in settings and not callable(settings["example_inputs"]):
        settings["example_inputs"] = partial(_fixed, settings["example_inputs"])
    for name in ("model", "data"):
        check_takes_seed(name, settings[name], file, _EXPECTED[name])
    return settings


def _fixed(value: Any, seed: int) -> Any:  # noqa: ARG001 # the same for every seed
    return value


def _missing_message(missing: list[str], namespace: Mapping[str, Any], file: Path) -> str:
    public = [name for name in namespace if not name.startswith("_") and not inspect.ismodule(namespace[name])]
    lines = [
        f"\n  {name}: {_EXPECTED[name]}.{_near(name, [known for known in public if known not in REQUIRED])}"
        for name in missing
    ]
    return f"{file} does not define {listed(missing)}. A task needs, at module level:{''.join(lines)}"


def _near(missing: str, public: list[str]) -> str:
    meant = [name for name in public if nearest_setting(name) == missing]
    return f" Did you mean {' or '.join(map(repr, meant))}?" if meant else did_you_mean(missing, public)
