"""Command that resumes a study, or repeats it with an empty store, as it can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actlab.errors import ActlabError
from actlab.studies.arm import EVERY_SITE, Arm, parse_arm
from actlab.studies.plan import Plan, task_name
from actlab.studies.settings import StudySettings
from actlab.studies.site_roles import MAIN
from actlab.studies.store.location import absolute_url
from actlab.tasks import registry

__all__ = ["StudyOrigin", "reproduction"]


@dataclass(frozen=True, kw_only=True)
class StudyOrigin:
    """Where a study is from, besides its plan.

    Attributes:
        name: of the study.
        store: URL of its store.
        sites: every activation site of the model, as mappings with the fields of :class:`actlab.studies.site_list.StudySite`.
        imports: modules and files with the user's activations.
        script: of a task that is a script: its ``command``, ``folder``, ``metric``, ``direction`` and ``lr``.
    """

    name: str
    store: str
    sites: Sequence[Mapping[str, Any]] = ()
    imports: Sequence[str] = ()
    script: Mapping[str, Any] | None = None


def reproduction(plan: Plan, origin: StudyOrigin) -> str:
    """Return a line for a shell; Python code where a plan has what the command line has no words for.

    That is a task built in code, activations that are the user's modules or functions, seeds that are not 0, 1, 2, ..., a map of sites with
    characters of its own grammar, and the settings ``eliminate`` and ``decay_learned``. Paths are absolute, and passwords in the URL of a
    store are left out.

    Example:
        >>> from actlab.studies.plan import make_plan
        >>> from actlab.tasks import resolve
        >>> plan = make_plan(resolve("digits"), ["gelu", "leaky_relu(0.1)"], sites="relu", seeds=6)
        >>> reproduction(plan, StudyOrigin(name="s", store="sqlite:////a.db"))
        "actlab compare digits gelu 'leaky_relu(negative_slope=0.1)' --baseline gelu --sites relu --seeds 6 ..."
    """
    task = None if origin.script else plan.file or (task_name(plan) if registry.is_built_in(plan.task) else None)
    store = re.sub(r"(?<=://)([^:/@]+):[^@/]*@", r"\1@", absolute_url(origin.store))
    in_words = (
        (task is not None or origin.script is not None)
        and plan.seeds == tuple(range(len(plan.seeds)))
        and plan.eliminate
        and plan.decay_learned
        and all(_is_read_back(arm) for arm in plan.arms)
        and not _own_names(plan)
    )
    named = {"store": store, "name": origin.name}
    settings = _settings(plan, origin.sites) | named
    if in_words and origin.script is not None:
        words = _script_words(origin.script)
        command = _command(["--script", origin.script["command"]], plan, words | settings, origin.imports)
        return f"cd {shlex.quote(origin.script['folder'])} && {command}"
    if in_words:
        return _command([task or ""], plan, settings, origin.imports)
    return _python(task, plan, settings, origin)


def _script_words(script: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a script, without its command."""
    rate = {} if script["lr"] is None else {"lr": script["lr"]}
    return {"metric": script["metric"], "direction": script["direction"], **rate}


def _settings(plan: Plan, sites: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings in which the plan differs from the defaults."""
    defaults = StudySettings()
    settings: dict[str, Any] = {"baseline": plan.baseline}
    if _needs_patterns(plan, sites):
        settings["sites"] = list(plan.sites)
    settings["seeds"] = len(plan.seeds) if plan.seeds == tuple(range(len(plan.seeds))) else list(plan.seeds)
    for name in ("init", "tune", "alpha", "rope", "eliminate", "decay_learned"):
        if getattr(plan, name) != getattr(defaults, name):
            settings[name] = getattr(plan, name)
    if plan.tune is not None and plan.tuning == "grid":
        settings["tune"] = "lr-grid"
    return settings


def _needs_patterns(plan: Plan, sites: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether sites must be named: not where they are those of the main function, which are swapped by default."""
    if not any(arm.is_one_spec for arm in plan.arms) or plan.sites != EVERY_SITE:
        return bool(plan.sites) and any(arm.is_one_spec for arm in plan.arms)
    fitting = [site for site in sites if site["role"] != "not replaceable"]
    return not sites or any((site["role"] == MAIN) != bool(site["swapped_by"]) for site in fitting)


def _is_read_back(arm: Arm) -> bool:
    """Return whether the arm's label, as a word on the command line, is read as the same arm."""
    try:
        return parse_arm(arm.label, arm.sites) == arm and arm.label.isprintable()
    except ActlabError:  # its activation does not exist in this process; its label is a spec all the same
        return isinstance(arm.assignment, str)


def _own_names(plan: Plan) -> list[str]:
    """Return the names of activations that are the user's modules or functions, which only Python can give."""
    return [name for name, definition in plan.definitions if definition.startswith("own ")]


def _command(task: Sequence[str], plan: Plan, settings: Mapping[str, Any], imports: Sequence[str]) -> str:
    words = ["actlab", "compare", *task, *plan.labels]
    for name, value in (*settings.items(), ("import", list(imports))):
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{name}", one if isinstance(one, str) else repr(one)]
    return shlex.join(words)


def _python(task: str | None, plan: Plan, settings: Mapping[str, Any], origin: StudyOrigin) -> str:
    imports, script = origin.imports, origin.script
    lines = ["import actlab"]
    lines += [f"import {name}" for name in imports if not name.endswith(".py")]
    lines += [f"import {Path(name).stem}  # {name}" for name in imports if name.endswith(".py")]
    if script is not None:
        options = "".join(f", {name}={value!r}" for name, value in _script_words(script).items())
        lines += [
            "",
            f"# run this in {script['folder']}",
            f"task = actlab.Script({script['command']!r}{options})",
        ]
    elif task is None:
        lines += [
            "",
            f"task = ...  # the Task {plan.task!r}, which is built in code (with a training function, give model=, too)",
        ]
    lines += [
        f"# {name!r} is your own module or function: give itself in the place of its name" for name in _own_names(plan)
    ]
    arms = ", ".join(
        repr(arm.assignment if isinstance(arm.assignment, str) else dict(arm.assignment)) for arm in plan.arms
    )
    options = "".join(f"    {name}={value!r},\n" for name, value in settings.items())
    lines += [
        "",
        "study = actlab.compare(",
        f"    {'task' if task is None else repr(task)},",
        f"    [{arms}],",
        f"{options})",
    ]
    return "\n".join(lines)
