"""Sentences, numbers and tables on claims of the literature, their pass rules and outcomes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actlab.report.content.format import MINUS, MISSING, decimals, duration, plain, signed
from actlab.studies.claims import OUTCOMES
from actlab.system.name_list import listed
from actlab.system.plural import plural

if TYPE_CHECKING:
    from actlab.studies.claims.claim import Claim, ClaimStudy, Effect, Part
    from actlab.studies.claims.effect import Cell
    from actlab.studies.claims.part_judgement import PartJudgement
    from actlab.studies.claims.record import Standing

__all__ = ["ClaimCard", "claim_lines", "markdown_page", "part_numbers", "rule_words", "seed_words", "total_words"]

_PAGE_HEAD = (
    "# Claims\n\nWritten by `actlab claims report --out docs/evidence/claims.md` from the records; `actlab claims run NAME` runs a claim "
    'again. Effects are paired by seed, and positive ones support the claim. "Detectable" is the effect that so many seeds would have '
    "shown with a power of 80 %. CPU time has the trials that tuned learning rates in it; a study of several claims is counted for each."
)
_COLUMNS = {
    "metric": "result",
    "train_loss": "training loss",
    "validation": "result on the validation split",
    "mean_loss": "mean training loss",
    "diverged": "diverged share",
}


@dataclass(frozen=True, kw_only=True)
class ClaimCard:
    """A claim with the standing of its record.

    Attributes:
        claim: as it is now.
        standing: of its record.
        rows: path of the rows, or None where there are none.
    """

    claim: Claim
    standing: Standing
    rows: Path | None = None

    @property
    def outcome(self) -> str:
        """Word by which it is filtered, one of ``OUTCOMES``."""
        return self.standing.state if self.standing.outcome is None else self.standing.outcome.result

    @property
    def text(self) -> str:
        """Outcome in words, or the state of the record."""
        return self.standing.state if self.standing.outcome is None else self.standing.outcome.text

    @property
    def parts(self) -> list[tuple[Part, PartJudgement | None]]:
        """Parts with their judgements, None where no outcome counts."""
        judged = self.standing.outcome.parts if self.standing.outcome else (None,) * len(self.claim.parts)
        return list(zip(self.claim.parts, judged, strict=True))

    @cached_property
    def trials(self) -> list[Mapping[str, Any]]:
        """Rows of the record, whether they count or not."""
        record = self.standing.record
        return [] if record is None else [row for rows in record.rows.values() for row in rows]

    @property
    def seeds(self) -> int:
        """Largest number of seeds of a study."""
        record = self.standing.record
        studies = record.rows.values() if record else ()
        return max((len({row["seed"] for row in rows}) for rows in studies), default=0)

    @property
    def cpu_seconds(self) -> float:
        """Time of all its trials, with those that tuned learning rates."""
        return self.standing.record.cpu_seconds if self.standing.record else 0.0

    @property
    def stacked(self) -> float | None:
        """Share of its trials that were trained as stacks; None without trials."""
        return sum(row["trainer"] == "stacked" for row in self.trials) / len(self.trials) if self.trials else None

    @property
    def source_link(self) -> str | None:
        """Address of the source, or None."""
        source = self.claim.source
        return f"https://arxiv.org/abs/{source.arxiv}" if source.arxiv else source.url

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, ready for JSON."""
        claim, record = self.claim, self.standing.record
        outcome = self.standing.outcome
        return {
            "name": claim.name,
            "sentence": claim.sentence,
            "domain": claim.domain,
            "about": list(claim.about),
            "source": {"text": claim.source.text, "link": self.source_link},
            "note": claim.note,
            "alpha": claim.alpha,
            "rule": rule_words(claim),
            "studies": {key: _study_data(study) for key, study in claim.studies.items()},
            "parts": [_part_data(part, judged) for part, judged in self.parts],
            "state": self.standing.state,
            "reason": self.standing.reason,
            "result": None if outcome is None else outcome.result,
            "outcome": self.text,
            "conditions": {} if outcome is None else dict(outcome.conditions),
            "more": None if outcome is None else outcome.more,
            "registered": record.registered if record else None,
            "earlier": list(record.earlier) if record else [],
            "finished": record.finished if record else None,
            "seeds": self.seeds,
            "cpu_seconds": self.cpu_seconds,
            "stacked": self.stacked,
            "rows": None if self.rows is None else str(self.rows),
        }


def _study_data(study: ClaimStudy) -> dict[str, Any]:
    shown = {"arms": list(study.arms), "evaluate": list(study.evaluate), "sites": study.sites and list(study.sites)}
    plain_values = ("task", "seeds", "most", "tune", "init", "decay_learned")
    return {name: getattr(study, name) for name in plain_values} | shown


def _part_data(part: Part, judged: PartJudgement | None) -> dict[str, Any]:
    words = {
        "says": part.says,
        "condition": part.condition,
        "judged": part.judged,
        "unit": part.unit,
        "measured": None if part.effect is None else effect_words(part.effect),
        "rule": _part_rule(part),
    }
    return words | {"found": None if judged is None else judged.to_dict()}


def claim_lines(found: Sequence[Mapping[str, str]], most: int = 8) -> list[str]:
    """Return a line for each of some claims, with its outcome first.

    Args:
        found: fields of :class:`~actlab.studies.claims.citation.Citation`.
        most: number of lines, beyond which one says how many more there are.

    Example:
        >>> claim_lines([{"claim": "a", "sentence": "GELU is better.", "outcome": "holds"}])
        ['holds: GELU is better. (a)']
    """
    lines = [f"{one['outcome']}: {one['sentence']} ({one['claim']})" for one in found[:most]]
    return [*lines, f"and {len(found) - most} more (actlab claims list)"] if len(found) > most else lines


# words of the pass rule


def rule_words(claim: Claim) -> list[str]:
    """Return the pass rule of a claim as sentences: those of its parts, how they make up the outcome, and the error rate."""
    judged = [part for part in claim.parts if part.judged]
    conditions = list(dict.fromkeys(part.condition for part in judged if part.condition is not None))
    always = sum(part.condition is None for part in judged)
    words = []
    if conditions:
        words.append(
            f"The parts under one condition are judged together: {listed(conditions)}. "
            "The claim holds where they hold under all conditions, and holds only if ... where they do under some and do not under others."
        )
    if always and (conditions or always > 1):
        words.append("All parts without a condition must hold." if conditions else "All parts must hold.")
    shown = len(claim.parts) - len(judged)
    if shown:
        words.append(
            f"{plural(shown, 'part')} {'is' if shown == 1 else 'are'} shown only, without bearing on the outcome."
        )
    by_rows = sum(part.effect is not None for part in claim.parts)
    if by_rows:
        words.append(
            f"Error rate of the whole claim: {plain(claim.alpha)}, over all looks"
            + (f" and {by_rows} parts ({plain(claim.part_alpha, 2)} each)." if by_rows > 1 else ".")
        )
    return words


def _part_rule(part: Part) -> str:
    """Return when a part holds and when it does not, as one sentence."""
    if part.exact is not None:
        near = f"within {plain(part.exact.tolerance)} of {plain(part.exact.claimed, 6)}"
        return f"Holds where the number is {near}; exact, without an error rate."
    size = f"{_size(part)} ({_part_scale(part)})" if _part_scale(part) else _size(part)
    if part.kind == "tie":
        return f"Holds where the effect is shown to be smaller than {size} on both sides; does not hold where it is shown to be larger."
    return f"Holds where the effect is shown to be above 0 and {size} is not excluded; does not hold where an effect of {size} is excluded."


def _size(part: Part) -> str:
    return f"{plain(part.smallest)} {part.unit}".rstrip()


def _part_scale(part: Part) -> str:
    """Return the smallest effect as a factor where effects are differences of logarithms, else nothing."""
    return f"a factor of {plain(10**part.smallest)}" if is_factor(part) else ""


def is_factor(part: Part) -> bool:
    """Return whether 10 to the power of the effect is a factor: all its cells are means of logarithms."""
    cells = () if part.effect is None else part.effect.cells
    return bool(cells) and all(cell.scale == "log10" and cell.reduce == "mean" for cell in cells)


def effect_words(effect: Effect) -> str:
    """Return what an effect is computed of, the terms that support the claim first.

    Example:
        >>> from actlab.studies.claims.effect import difference
        >>> effect_words(difference("gelu", ("relu", "elu"), column="train_loss", larger=False)).split(MINUS)
        ['training loss of relu, elu ', ' training loss of gelu']
    """
    several = len(effect.studies) > 1
    terms = sorted(effect.cells, key=lambda cell: cell.weight < 0)
    text = ""
    for cell in terms:
        sign = f" {MINUS} " if cell.weight < 0 else " + "
        text += (sign if text or cell.weight < 0 else "") + _cell_words(cell, with_study=several)
    constant = "" if not effect.minus else f" {MINUS if effect.minus > 0 else '+'} {plain(abs(effect.minus), 6)}"
    return f"{text}{constant}".strip()


def _cell_words(cell: Cell, *, with_study: bool) -> str:
    kind, _, name = cell.column.partition(".")
    words = _COLUMNS.get(cell.column) or (
        name if kind in {"metrics", "axes"} else cell.column.replace("loss@", "training loss at share ")
    )
    words = f"log10 of {words}" if cell.scale == "log10" else words
    words = f"{words} of" if cell.reduce == "mean" else f"{cell.reduce} of {words} over"
    factor = "" if abs(cell.weight) == 1 else f"{plain(abs(cell.weight))} x "
    where = f" ({cell.study})" if with_study else ""
    return f"{factor}{words} {', '.join(cell.arms)}{where}"


# numbers


def seed_words(part: Part) -> str:
    """Return what gives one effect of a part: a seed, or a pair of them."""
    return "seed pair" if part.effect is not None and part.effect.seeds_each == 2 else "seed"


def part_numbers(part: Part, judged: PartJudgement) -> dict[str, str]:
    """Return effect, interval, smallest and detectable effect of a part as text, on their natural scale.

    Differences of logarithms are shown as factors.
    """
    if judged.kind == "exact":
        shown = MISSING if judged.effect is None else plain(judged.effect, 6)
        claimed = f"claimed {plain(judged.claimed, 6)} ± {plain(judged.smallest)}"
        return {
            "effect": shown,
            "interval": claimed,
            "smallest": plain(judged.smallest),
            "detectable": MISSING,
            "unit": part.unit,
        }
    places = min(6, max(decimals(judged.smallest), _places(judged)))
    write = _factor if is_factor(part) else partial(_signed, places=places)
    sign = "±" if part.kind == "tie" else ""
    smallest = _factor(judged.smallest) if is_factor(part) else plain(judged.smallest)
    unit = "times" if is_factor(part) else part.unit
    return {
        "effect": MISSING if judged.effect is None else write(judged.effect),
        "interval": f"[{write(judged.low)}, {write(judged.high)}]" if judged.n else MISSING,
        "smallest": f"{sign}{smallest}",
        "detectable": MISSING if judged.detectable is None else write(judged.detectable),
        "unit": unit,
    }


def _places(judged: PartJudgement) -> int:
    width = judged.high - judged.low
    return decimals(width) if math.isfinite(width) else decimals(judged.effect)


def _signed(number: float, places: int) -> str:
    if math.isinf(number):
        return "∞" if number > 0 else f"{MINUS}∞"
    return signed(number, places)


def _factor(logarithm: float) -> str:
    if math.isinf(logarithm):
        return "∞" if logarithm > 0 else "0"
    return plain(10**logarithm, 3) if abs(logarithm) < 300 else f"10^{plain(logarithm)}"


def total_words(cards: Sequence[ClaimCard]) -> str:
    """Return the numbers of outcomes, the time of all trials and the stacked trainer's share of them, as sentences."""
    counts = {outcome: sum(card.outcome == outcome for card in cards) for outcome in OUTCOMES}
    found = ", ".join(f"{number} {outcome}" for outcome, number in counts.items() if number)
    trials = [row for card in cards for row in card.trials]
    if not trials:
        return f"{plural(len(cards), 'claim')}: {found}." if cards else "No claims."
    stacked = sum(row["trainer"] == "stacked" for row in trials)
    seconds = sum(float(row["cpu_seconds"] or 0) for row in trials)
    in_stacks = sum(float(row["cpu_seconds"] or 0) for row in trials if row["trainer"] == "stacked")
    return (
        f"{plural(len(cards), 'claim')}: {found}. "
        f"{len(trials):,} trials in {duration(sum(card.cpu_seconds for card in cards))} of CPU time, "
        f"with those that tuned learning rates; the stacked trainer ran {stacked:,} of them ({stacked / len(trials):.0%}), "
        f"in {duration(in_stacks)} of {duration(seconds)}."
    )


def markdown_page(cards: Sequence[ClaimCard]) -> str:
    """Return a Markdown page with a row for each part of each claim, and sentences on how to read it and on the whole."""
    last = max((card.standing.record.finished or "" for card in cards if card.standing.record), default="")
    when = f" Last run: {last[:10]}." if last else ""
    return f"{_PAGE_HEAD}{when}\n\n{total_words(cards)}\n\n{_table(cards)}\n"


def _table(cards: Iterable[ClaimCard]) -> str:
    head = (
        "claim",
        "outcome",
        "part",
        "effect",
        "interval",
        "smallest that matters",
        "detectable (80 %)",
        "seeds",
        "CPU time",
    )
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for card in cards:
        lines += [f"| {' | '.join(_cell(text) for text in row)} |" for row in _card_rows(card)]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a text as a cell of a table in Markdown, which is one line without HTML."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _card_rows(card: ClaimCard) -> list[list[str]]:
    first = [f"`{card.claim.name}`", card.text]
    last = [str(card.seeds or MISSING), duration(card.cpu_seconds) if card.cpu_seconds else MISSING]
    rows = []
    for part, judged in card.parts:
        says = f"{part.says}{f' ({part.condition})' if part.condition else ''}{'' if part.judged else ' (shown only)'}"
        if judged is None:
            cells = [MISSING, MISSING, plain(part.smallest), MISSING]
        else:
            numbers = part_numbers(part, judged)
            says = f"{says}: {judged.decision}"
            cells = [
                f"{numbers['effect']} {numbers['unit']}".strip(),
                *(numbers[name] for name in ("interval", "smallest", "detectable")),
            ]
        rows.append([*first, says, *cells, *last])
        first, last = ["", ""], ["", ""]
    return rows
