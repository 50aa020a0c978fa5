"""Arguments and options shared by commands, checked and completed before torch is imported."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.errors import ActlabError, UnknownNameError, did_you_mean
from actlab.functions.name_index import built_in_names
from actlab.functions.own_modules import add_own_module, has_own_modules
from actlab.functions.spec_text import check_names, split_site_map
from actlab.system.name_list import check_is_no_saved_model, split_number, task_hint

__all__ = [
    "SCRIPT",
    "AcceptChanges",
    "Arms",
    "Budget",
    "CheckpointEvery",
    "Import",
    "Page",
    "Spec",
    "Store",
    "Task",
    "TrialLimit",
    "check_specs",
    "check_task",
    "choice",
    "page_path",
    "parse_specs",
    "some_specs",
    "source",
    "spec_option",
    "task_names",
    "time_option",
]


def _import(modules: list[str] | None) -> list[str] | None:
    for module in modules or ():
        add_own_module(module)
    return modules


SPECS = "actlab.specs"  # key of the context's data
UNCHANGED = "unchanged"  # the arm that is the model as it is
SCRIPT = "the script"  # in the place of a task


def check_specs(context: typer.Context, *specs: str) -> None:
    """Check the names in activation specs, and keep the specs for the check of all else.

    Names are looked up in the source files, which takes 0.03 s; parsing a spec imports SymPy and waits until all options are known.

    Raises:
        SpecError: a spec does not follow the grammar.
        UnknownNameError: there is no such activation or gradient rule.
    """
    for text in specs:
        try:
            check_names(text)
        except UnknownNameError:
            if not has_own_modules():
                raise
    context.meta.setdefault(SPECS, []).extend(specs)


def parse_specs(context: Any) -> None:
    """Parse the specs of a command line, before the command imports torch.

    Raises:
        SpecError: a spec cannot be parsed.
        UnknownNameError: there is no such activation or gradient rule.
    """
    if specs := context.meta.get(SPECS):
        from actlab.functions.grammar import parse

        for text in specs:
            parse(text)


def _check_specs(context: typer.Context, value: Any) -> Any:
    check_specs(context, *([value] if isinstance(value, str) else value or ()))
    return value


def _check_arms(context: typer.Context, value: Any) -> Any:
    arms = [text for text in ([value] if isinstance(value, str) else value or ()) if text != UNCHANGED]
    check_specs(context, *(spec for arm in arms for _, spec in split_site_map(arm) or [("", arm)]))
    return value


def task_names() -> list[str]:
    """Return the names of the built-in tasks, without those of earlier protocols."""
    tables = _registered_names()
    return sorted([*tables["_BUILDERS"], *tables["_NUMBERED"]])


def _is_task_name(name: str) -> bool:
    """Return whether a task is built in under a name, one of another number or of an earlier protocol included."""
    tables = _registered_names()
    stems = {stem for stem, _ in filter(None, map(split_number, tables["_NUMBERED"]))}
    return name in chain(*tables.values()) or (split_number(name) or ("",))[0] in stems


def _registered_names() -> dict[str, list[str]]:
    """Return the names in the tables of built-in tasks, by the tables' names, read from the file that registers them."""
    file = Path(__file__).parents[1] / "tasks" / "builtin" / "__init__.py"
    tables = {
        node.target.id: node.value
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Dict)
    }
    return {
        name: [str(key.value) for key in table.keys if isinstance(key, ast.Constant)] for name, table in tables.items()
    }


def check_task(task: str) -> str:
    """Return the name of a built-in task or the path of a file unchanged.

    Raises:
        UnknownNameError: it is neither.
        ActlabError: there is no such file, or it is one of weights.
    """
    check_is_no_saved_model(task)
    if task == SCRIPT or _is_task_name(task) or Path(task).exists() or has_own_modules():
        return task
    if not task.endswith(".py") and "/" not in task:
        raise UnknownNameError("task", task, task_names(), task_hint(task_names()))
    folder = Path(task).parent
    files = sorted(file.name for file in folder.glob("*.py")) if folder.is_dir() else []
    near = did_you_mean(Path(task).name, files)
    raise ActlabError(
        f"There is no file {task}.{near} A task is a registered name or a Python file; looked in {folder.resolve()}."
    )


def choice(*allowed: str) -> Callable[..., Any]:
    """Return a callback that accepts some words only, one or several of them."""

    def check(value: Any, param: typer.CallbackParam) -> Any:
        for word in [value] if isinstance(value, str) else value or ():
            if word not in allowed:
                raise ActlabError(
                    f"{param.opts[0]} is {word!r}; allowed are {', '.join(allowed)}.{did_you_mean(word, allowed)}"
                )
        return value

    return check


def page_path(parameter: typer.CallbackParam, value: Path | None) -> Path | None:
    """Return the path of a page unchanged, before the work that the page is about.

    Raises:
        ActlabError: its folder does not exist.
    """
    if value is not None and not value.expanduser().parent.is_dir():
        raise ActlabError(f"{parameter.opts[0]}: the folder of {value} does not exist; create it first.")
    return value


Page = Annotated[
    Path | None,
    typer.Option("--html", help="Also write the report as a page.", metavar="FILE.html", callback=page_path),
]


def time_option(parameter: typer.CallbackParam, value: str | None) -> str | None:
    """Return a time such as 10m unchanged.

    Raises:
        PlanError: it cannot be read.
    """
    if value is not None:
        from actlab.system.duration import parse_budget

        parse_budget(value, parameter.name or "budget")
    return value


def interval_option(parameter: typer.CallbackParam, value: str) -> str:
    """Return an interval such as 10m, or 0 for none, unchanged.

    Raises:
        PlanError: it cannot be read.
    """
    from actlab.system.duration import parse_interval

    parse_interval(value, parameter.name or "interval")
    return value


def _starting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _complete_spec(incomplete: str) -> list[str]:
    return _starting(built_in_names("catalogue"), incomplete)


def _complete_task(incomplete: str) -> list[str]:
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    files = (str(file) for file in sorted(folder.glob("*.py")))
    return _starting([*task_names(), *files], incomplete)


Import = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        help="Module or Python file with your own activations; may be given several times.",
        metavar="MODULE",
        callback=_import,
        is_eager=True,
    ),
]
Store = Annotated[
    str | None,
    typer.Option(
        help="URL or file of the store; by default $ACTLAB_STORE, else actlab.db in this folder.", metavar="URL"
    ),
]
Task = Annotated[
    str,
    typer.Argument(
        help="Name of a task (`actlab tasks` lists them), or a Python file with a task or a training function.",
        metavar="TASK",
        callback=check_task,
        autocompletion=_complete_task,
    ),
]
Arms = Annotated[
    list[str],
    typer.Argument(
        help="Activations, such as relu gelu 'swish(beta=learned)', or by site 'encoder.*=gelu; head=relu'; unchanged: the model as it is.",
        metavar="ACT...",
        callback=_check_arms,
        autocompletion=_complete_spec,
    ),
]
Spec = Annotated[
    str,
    typer.Argument(
        help="An activation, such as gelu, 'leaky_relu(0.02)' or step/rect.",
        metavar="ACT",
        callback=_check_specs,
        autocompletion=_complete_spec,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="End the study after this time, such as 90s, 10m or 2h; running trials get a little longer.",
        callback=time_option,
    ),
]
TrialLimit = Annotated[
    str | None,
    typer.Option(
        "--trial-limit",
        "--trial-timeout",
        help="End a trial that runs longer, such as 10m; by default 20 times the longest so far, at least a minute.",
        callback=time_option,
    ),
]
CheckpointEvery = Annotated[
    str,
    typer.Option(
        help="Store the state of a running trial this often, such as 10m, so that it goes on after a kill; 0 for never.",
        metavar="TIME",
        callback=interval_option,
    ),
]
AcceptChanges = Annotated[
    bool,
    typer.Option("--accept-changes", help="Go on although modules that the task imports, or its data, have changed."),
]


def source(meaning: str, metavar: str) -> Any:
    """Return an argument that is the name of a task or a Python file."""
    return typer.Argument(help=meaning, metavar=metavar, callback=check_task, autocompletion=_complete_task)


def some_specs(default: str) -> Any:
    """Return an argument of any number of activations, described by what is used without any."""
    return typer.Argument(
        help=f"Activations; by default {default}.",
        metavar="[ACT]...",
        callback=_check_specs,
        autocompletion=_complete_spec,
    )


def spec_option(meaning: str, *, arm: bool = False) -> Any:
    """Return an option whose value is an activation."""
    return typer.Option(
        help=meaning, metavar="ACT", callback=_check_arms if arm else _check_specs, autocompletion=_complete_spec
    )
