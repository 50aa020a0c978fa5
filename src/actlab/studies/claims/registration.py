"""Digests that fix the pass rule and the studies of a claim before its first row."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from actlab.studies.claims.claim import Claim, ClaimStudy
from actlab.studies.plan import make_plan
from actlab.tasks import resolve
from actlab.tasks.task import Task

__all__ = ["Registration", "code_without_words", "register"]


@dataclass(frozen=True, kw_only=True)
class Registration:
    """Digests of a claim at one time.

    Attributes:
        rule: of the parts and the error rate.
        studies: by key, of the plan (task, arms, formulas, init policy, tuning, axes) and of the code that defines the task.
    """

    rule: str
    studies: dict[str, str]

    def changes(self, earlier: Registration) -> list[str]:
        """Return what differs from an earlier registration, in words; empty where nothing does.

        Example:
            >>> Registration(rule="a", studies={"main": "b"}).changes(Registration(rule="a", studies={"main": "c"}))
            ['the plan or the code of the study main']
        """
        found = ["the pass rule"] if self.rule != earlier.rule else []
        keys = dict.fromkeys([*earlier.studies, *self.studies])
        return found + [
            f"the plan or the code of the study {key}"
            for key in keys
            if self.studies.get(key) != earlier.studies.get(key)
        ]


def register(claim: Claim) -> Registration:
    """Return the digests of a claim as it is now. The numbers of seeds are not in it, since the tests are valid after every seed.

    Raises:
        ActlabError: a study has no valid plan.
    """
    rule = {"alpha": claim.alpha, "parts": [part.rule() for part in claim.parts]}
    return Registration(
        rule=_digest(rule), studies={key: _study_digest(study) for key, study in sorted(claim.studies.items())}
    )


def _study_digest(study: ClaimStudy) -> str:
    task = resolve(study.task)
    plan = make_plan(task, study.arms, seeds=1, **study.options())
    return _digest(
        {"plan": plan.identity(), "code": [code_without_words(module) for module in sorted(set(_modules(task)))]}
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:32]


def _modules(task: Task) -> Iterator[str]:
    """Return names of the modules of ActLab that define a task's functions; the code of a user's own task is part of its plan."""
    for field in vars(task).values():
        yield from _modules_of(field)


def _modules_of(value: Any) -> Iterator[str]:
    if isinstance(value, partial):
        yield from _modules_of(value.func)
        for argument in (*value.args, *value.keywords.values()):
            yield from _modules_of(argument)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _modules_of(item)
    elif isinstance(value, Callable):  # type: ignore[arg-type] # typing's stubs take it for no class
        name = str(getattr(value, "__module__", ""))
        if name.startswith("actlab.tasks."):
            yield name


@lru_cache(maxsize=128)
def code_without_words(module: str) -> str:
    """Return the digest of a module's code without comments, docstrings and empty lines.

    Args:
        module: dotted name of an imported module.

    Example:
        >>> len(code_without_words("actlab.studies.claims.registration"))
        64
    """
    source = inspect.getsource(sys.modules[module])
    words = {line for node in ast.walk(ast.parse(source)) for line in _docstring_lines(node)}
    code = [
        text.rstrip()
        for line, text in enumerate(source.splitlines(), start=1)
        if line not in words and text.strip() and not text.lstrip().startswith("#")
    ]
    return hashlib.sha256("\n".join(code).encode()).hexdigest()


def _docstring_lines(node: ast.AST) -> range:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return range(0)
    first = node.body[0] if node.body else None
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return range(first.lineno, (first.end_lineno or first.lineno) + 1) if first is not None and is_text else range(0)
