"""Claims by name or file, those that ship with ActLab and those of the user."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

from actlab.errors import ActlabError, PlanError, UnknownNameError
from actlab.studies.claims.claim import Claim
from actlab.tasks.task_file import run_file

__all__ = ["check_claim_name", "claim_file", "claim_names", "find_claim", "find_claims"]

T = TypeVar("T")

_LIBRARY: Final = Path(__file__).parent / "library"


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """Return the dotted name of the module of each shipped claim."""
    files = sorted(file for file in _LIBRARY.rglob("*.py") if file.name != "__init__.py")
    parts = {file.stem.replace("_", "-"): file.relative_to(_LIBRARY).with_suffix("").parts for file in files}
    return {name: ".".join(("actlab.studies.claims.library", *path)) for name, path in sorted(parts.items())}


def claim_names() -> tuple[str, ...]:
    """Return the names of the claims that ship with ActLab, sorted."""
    return tuple(_modules())


def claim_file(name: str) -> str:
    """Return the path of the file of a shipped claim.

    Raises:
        KeyError: there is no such claim.
    """
    *_, folder, file = _modules()[name].split(".")
    return str(next(path for path in _LIBRARY.rglob(f"{file}.py") if path.parent.name == folder))


def find_claim(source: str | Path) -> Claim:
    """Return a claim.

    Args:
        source: name of a shipped claim, or path of a Python file that defines ``claim``.

    Raises:
        UnknownNameError: there is no claim of this name.
        PlanError: the file defines no claim.
        TaskError: the file does not exist, or raises when it is run.
    """
    text = str(check_claim_name(source))
    if text in _modules():
        return _named(_shipped(text), text, text)
    path = Path(text).expanduser()
    return replace(_named(run_file(path).get("claim"), path.stem.replace("_", "-"), text), file=text)


def _shipped(name: str) -> object:
    try:
        return vars(importlib.import_module(_modules()[name])).get("claim")
    except ActlabError as error:
        raise PlanError(f"The claim {name} is wrong: {error}") from error
    except Exception as error:
        raise PlanError(f"The file of the claim {name} raised {type(error).__name__}: {error}") from error


def check_claim_name(source: T) -> T:
    """Return a claim, the name of one, or a path unchanged.

    Raises:
        UnknownNameError: it is a name, and there is no claim of this name.
    """
    text = str(source)
    if isinstance(source, str | Path) and text not in _modules() and not text.endswith(".py"):
        hint = "`actlab claims list` lists them; a file of your own ends in .py."
        raise UnknownNameError("claim", text, _modules(), hint)
    return source


def find_claims(sources: Iterable[str | Path] | None = None) -> list[Claim]:
    """Return claims in the order given; all shipped ones, by name, for None.

    Raises:
        ActlabError: as for :func:`find_claim`.
    """
    return [find_claim(source) for source in (claim_names() if sources is None else sources)]


def _named(claim: object, name: str, source: str) -> Claim:
    if not isinstance(claim, Claim):
        raise PlanError(
            f"{source} defines no claim: needed is `claim = Claim(...)` (from actlab.studies.claims.claim); got {type(claim).__name__}."
        )
    return replace(claim, name=name)
