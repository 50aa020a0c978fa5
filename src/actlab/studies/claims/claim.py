"""Sentence of the literature with its source, the studies that test it, and the pass rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from actlab.errors import PlanError
from actlab.studies.claims.effect import Cell, Effect, Scale, check_column, difference, growth, value, variance
from actlab.studies.claims.function_code import function_code

__all__ = [
    "Cell",
    "Claim",
    "ClaimStudy",
    "Effect",
    "Exact",
    "Part",
    "Scale",
    "Source",
    "difference",
    "growth",
    "value",
    "variance",
]

Kind: TypeAlias = Literal["better", "tie"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a claim is made.

    Attributes:
        text: authors, year and place in the text, or "folklore" with an example.
        arxiv: number on arXiv.
        url: other address.
    """

    text: str
    arxiv: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimStudy:
    """A study that a claim needs: every arm is trained on every seed.

    Attributes:
        task: registered name, or path of a file.
        arms: specs, or texts of maps from sites to specs; the first one is the baseline.
        seeds: number of seeds of the first look.
        most: number of seeds at which the run ends, decided or not.
        tune: None, or "lr" to tune the learning rate of every arm with the same budget.
        init: "fixed" or "matched".
        evaluate: axes on which the trained models are judged.
        sites: patterns of the sites that arms swap; by default those of the model's main function.
        decay_learned: whether weight decay acts on the learned numbers of activations.
    """

    task: str
    arms: tuple[str, ...]
    seeds: int = 8
    most: int = 20
    tune: Literal["lr", "lr-grid"] | None = None
    init: Literal["fixed", "matched"] = "fixed"
    evaluate: tuple[str, ...] = ()
    sites: tuple[str, ...] | None = None
    decay_learned: bool = True

    def __post_init__(self) -> None:
        if not self.arms or not 1 <= self.seeds <= self.most:
            raise PlanError(
                f"A study of a claim needs arms and 1 <= seeds <= most; got arms {self.arms!r}, seeds {self.seeds}, most {self.most}."
            )

    def options(self) -> dict[str, Any]:
        """Return the options of :func:`actlab.compare`, without the seeds."""
        shared = {"tune": self.tune, "init": self.init, "evaluate": list(self.evaluate) or None}
        return {
            **shared,
            "sites": None if self.sites is None else list(self.sites),
            "baseline": self.arms[0],
            "decay_learned": self.decay_learned,
            "eliminate": False,
        }


@dataclass(frozen=True, kw_only=True)
class Exact:
    """A number that follows from formulas.

    Attributes:
        compute: function without arguments that returns it.
        claimed: its value in the claim.
        tolerance: largest distance at which the claim holds, in the same unit.
    """

    compute: Callable[[], float]
    claimed: float
    tolerance: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.claimed) and self.tolerance >= 0):
            raise PlanError(
                f"claimed is {self.claimed} and tolerance {self.tolerance}; both are finite, and a tolerance is not negative."
            )


@dataclass(frozen=True, kw_only=True)
class Part:
    """One statement of a claim, with the rule by which it is judged.

    Attributes:
        says: the statement, in words.
        effect: positive where it is true; None with ``exact``.
        smallest: the smallest effect that matters, in ``unit``: a statement "better" does not hold where an effect of that size is
            excluded; a "tie" holds where the effect is shown to be smaller.
        unit: of the effect, in words.
        kind: "better" or "tie".
        exact: what is computed in the place of an effect.
        condition: under which it is judged; parts of one condition are judged together.
        judged: whether it bears on the outcome; otherwise it is only measured and shown.
    """

    says: str
    effect: Effect | None = None
    smallest: float = 0.0
    unit: str = ""
    kind: Kind = "better"
    exact: Exact | None = None
    condition: str | None = None
    judged: bool = True

    def __post_init__(self) -> None:
        if (self.effect is None) == (self.exact is None):
            raise PlanError(f"The part {self.says!r} needs either an effect or exact.")
        if self.kind not in {"better", "tie"}:
            raise PlanError(f"kind is {self.kind!r}; allowed: 'better', 'tie'.")
        if self.effect is not None and not (0 < self.smallest < math.inf):
            raise PlanError(
                f"The part {self.says!r} needs smallest > 0, the smallest effect that matters, in its unit; got {self.smallest}."
            )

    def rule(self) -> dict[str, Any]:
        """Return what decides whether it holds, as plain values; words are not in it."""
        plain = {"kind": self.kind, "smallest": self.smallest, "condition": self.condition, "judged": self.judged}
        if self.effect is not None:
            return plain | {"effect": asdict(self.effect)}
        if self.exact is None:
            return plain
        code = function_code(self.exact.compute)
        return plain | {"code": code, "claimed": self.exact.claimed, "tolerance": self.exact.tolerance}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence from the literature turned into studies with a pass rule.

    Attributes:
        sentence: what is claimed.
        source: where.
        domain: "vision", "language", "tables", "physics", "theory", "control" or another word by which claims are filtered.
        studies: by key.
        parts: statements that make up the claim.
        about: activations and topics, for which ``actlab show`` and ``actlab doctor`` cite it.
        alpha: error rate of the whole claim, over all its parts and looks.
        note: in what the studies differ from those of the source, and why.
        name: of its file; set when it is read.
        file: path of the user's file that defines it, or None; set when it is read.

    Raises:
        PlanError: a part reads a study or an arm that there is not, or there is nothing to judge.

    Example:
        >>> study = ClaimStudy(task="digits", arms=("relu", "gelu"))
        >>> part = Part(says="GELU is more accurate", effect=difference("gelu", "relu"), smallest=0.005, unit="accuracy")
        >>> claim = Claim(sentence="...", source=Source(text="folklore"), domain="vision", studies={"main": study}, parts=(part,))
        >>> claim.part_alpha
        0.05
    """

    sentence: str
    source: Source
    domain: str
    parts: tuple[Part, ...]
    studies: Mapping[str, ClaimStudy] = field(default_factory=dict)
    about: tuple[str, ...] = ()
    alpha: float = 0.05
    note: str = ""
    name: str = ""
    file: str | None = None

    def __post_init__(self) -> None:
        if not any(part.judged for part in self.parts):
            raise PlanError(f"The claim {self.sentence!r} has no part that is judged.")
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha is {self.alpha}; the error rate of a claim is between 0 and 1, such as 0.05.")
        for part in self.parts:
            for cell in () if part.effect is None else part.effect.cells:
                self._check_cell(part, cell)

    def _check_cell(self, part: Part, cell: Cell) -> None:
        study = self.studies.get(cell.study)
        if study is None:
            raise PlanError(
                f"The part {part.says!r} reads the study {cell.study!r}; the claim has {', '.join(self.studies) or 'none'}."
            )
        check_column(cell.column)
        group, axis, *_ = f"{cell.column}.".split(".")
        if group == "axes" and not any(name in {axis, "all"} or ".py" in name for name in study.evaluate):
            raise PlanError(
                f"The part {part.says!r} reads {cell.column!r}, and the study {cell.study!r} is not judged on that axis: "
                f"evaluate is {study.evaluate!r}; add {axis!r} to it."
            )
        missing = [arm for arm in cell.arms if arm not in study.arms]
        if missing:
            raise PlanError(
                f"The part {part.says!r} reads {missing[0]!r}, which is no arm of the study {cell.study!r}: {', '.join(study.arms)}."
            )

    @property
    def asked_as(self) -> str:
        """What a command takes for it: the path of the user's file, or the name."""
        return self.file or self.name

    @property
    def part_alpha(self) -> float:
        """Error rate of one part: that of the claim, divided by the number of parts that rows decide."""
        return self.alpha / max(1, sum(part.effect is not None for part in self.parts))

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of rows that its parts read, sorted."""
        return tuple(sorted({cell.column for part in self.parts if part.effect for cell in part.effect.cells}))
