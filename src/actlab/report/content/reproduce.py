"""Command line and library versions that reproduce a study."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

from actlab.report.content.series import Row

if TYPE_CHECKING:
    from actlab.studies.verdict.verdict import Verdict

__all__ = ["command", "versions"]


def command(verdict: Verdict) -> str:
    """Return the command that resumes the study, or repeats it with an empty store."""
    specs = [verdict.baseline, *(arm.spec for arm in verdict.arms if arm.spec != verdict.baseline)]
    options = {
        "--seeds": len(verdict.seeds),
        "--baseline": verdict.baseline,
        "--init": verdict.init,
        "--tune": verdict.tune,
        "--alpha": verdict.alpha,
        "--rope": verdict.rope,
        "--store": verdict.store,
        "--name": verdict.study,
    }
    words = [word for option, value in options.items() if value is not None for word in (option, str(value))]
    return shlex.join(["actlab", "compare", verdict.task, *specs, *words])


def versions(rows: Iterable[Row]) -> str:
    """Return the versions the trials ran with; several sets if the trials come from several installations."""
    known = {", ".join(f"{name} {number}" for name, number in sorted((row["versions"] or {}).items())) for row in rows}
    return "; ".join(sorted(known - {""})) or "not recorded"
