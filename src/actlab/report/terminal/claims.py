"""Terminal views of claims, of one with its rule and outcome and of the runs of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from actlab.report.content.claims import ClaimCard, part_numbers, rule_words, seed_words, total_words
from actlab.report.content.format import MISSING, duration
from actlab.report.terminal.text_table import ListTable, below, name_value_table, text_table
from actlab.system.plural import plural

if TYPE_CHECKING:
    from actlab.studies.claims.claim import Claim, ClaimStudy, Part
    from actlab.studies.claims.part_judgement import PartJudgement

__all__ = ["claim_view", "claims_table", "plans_table", "report_table", "runs_table"]

_STYLES = {"holds": "bold green", "does not hold": "bold red", "holds only if": "bold yellow", "refused": "bold red"}


def claims_table(cards: Sequence[ClaimCard]) -> RenderableType:
    """Return claims with outcome and sentence, one line each."""
    if not cards:
        return Text("No claim is of this domain and outcome. `actlab claims list` lists all.")
    rows = [(card.claim.name, card.claim.domain, card.text, card.claim.sentence) for card in cards]
    table = ListTable(headings=("claim", "domain", "outcome", "sentence"), rows=rows, end=("outcome", "sentence"))
    return Group(table, below(f"{total_words(cards)} `actlab claims show NAME` shows one in full."))


def claim_view(card: ClaimCard) -> RenderableType:
    """Return a claim with source, studies, pass rule, parts and standing."""
    return Group(*_claim_parts(card))


def _claim_parts(card: ClaimCard) -> Iterator[RenderableType]:
    claim = card.claim
    yield Text.assemble((claim.name, "bold"), f"  {claim.domain}")
    yield Text(claim.sentence)
    yield below(card.text[:1].upper() + card.text[1:], style=_STYLES.get(card.outcome, "bold"))
    if card.standing.reason:
        yield Text(card.standing.reason, style="yellow")
    yield Padding(name_value_table(_facts(card)), (1, 0, 0, 0))
    yield below("Parts", style="bold")
    for number, (part, judged) in enumerate(card.parts, 1):
        yield from _part(number, part, judged, card.to_dict()["parts"][number - 1])
    if claim.studies:
        yield below("Studies", style="bold")
        yield text_table(
            ("study", "task", "arms", "seeds", "learning rate", "init", "axes"),
            [_study_row(key, study) for key, study in claim.studies.items()],
        )
    for sentence in rule_words(claim):
        yield Padding(Text(sentence, style="dim"), (0, 0, 0, 0))


def _facts(card: ClaimCard) -> dict[str, str | None]:
    record = card.standing.record
    stacked = "" if card.stacked is None else f", {card.stacked:.0%} of the trials as stacks"
    return {
        "source": card.claim.source.text + (f" ({card.source_link})" if card.source_link else ""),
        "about": ", ".join(card.claim.about),
        "note": card.claim.note,
        "registered": record.registered if record else None,
        "before that": ", ".join(record.earlier) + ", with another rule or study"
        if record and record.earlier
        else None,
        "run": record.finished if record else None,
        "seeds": str(card.seeds) if card.seeds else None,
        "CPU time": f"{duration(card.cpu_seconds)}{stacked}" if card.cpu_seconds else None,
        "rows": str(card.rows) if card.rows else None,
    }


def _part(number: int, part: Part, judged: PartJudgement | None, data: dict[str, Any]) -> Iterator[RenderableType]:
    condition = f" [{part.condition}]" if part.condition else ""
    shown = "" if part.judged else " (shown only)"
    decision = "" if judged is None else f": {judged.decision}"
    yield Text.assemble(f"{number}. {part.says}{condition}{shown}", (decision, _STYLES.get(decision[2:], "bold")))
    lines = [data["rule"]] if data["measured"] is None else [f"Effect: {data['measured']}.", data["rule"]]
    if judged is not None:
        lines.insert(0, _found(part, judged))
    yield Padding(Text("\n".join(lines), style="dim"), (0, 0, 0, 3))


def _found(part: Part, judged: PartJudgement) -> str:
    numbers = part_numbers(part, judged)
    text = f"{numbers['effect']} {numbers['unit']} {numbers['interval']}"
    if judged.kind == "exact":
        return text
    text += f" over {plural(judged.n, seed_words(part))}; detectable with 80 % power: {numbers['detectable']}"
    text += f"; diverged on one side: {plural(judged.infinite, 'seed')}" if judged.infinite else ""
    return text + (f"; without an effect: {plural(judged.missing, 'seed')}" if judged.missing else "")


def _study_row(key: str, study: ClaimStudy) -> tuple[str, ...]:
    rate = "tuned" if study.tune else "the task's"
    axes = ", ".join(study.evaluate) or MISSING
    return (key, study.task, ", ".join(study.arms), f"{study.seeds} to {study.most}", rate, study.init, axes)


def plans_table(claims: Sequence[Claim]) -> RenderableType:
    """Return the studies of claims that would be run, with their trials at the first and at the last look."""
    rows = [_plan_row(claim, key, study) for claim in claims for key, study in claim.studies.items()]
    exact = [claim.name for claim in claims if not claim.studies]
    table = text_table(("claim", "study", "task", "arms", "seeds", "trials", "learning rate", "init", "axes"), rows)
    return Group(table, below(f"Without trials: {', '.join(exact)}")) if exact else table


def _plan_row(claim: Claim, key: str, study: ClaimStudy) -> tuple[str, ...]:
    row, arms = _study_row(key, study), len(study.arms)
    return (claim.name, *row[:4], f"{arms * study.seeds} to {arms * study.most}", *row[4:])


def runs_table(runs: Sequence[Any], asked: int) -> RenderableType:
    """Return what became of claims that were run.

    Args:
        runs: as :func:`actlab.claims.run_claims` returned them.
        asked: number of claims that were to be run.
    """
    rows = [
        (run.name, run.outcome.text if run.outcome else f"failed: {run.error}", duration(run.seconds)) for run in runs
    ]
    table = text_table(("claim", "outcome", "time"), rows, right=("time",))
    left = asked - len(runs)
    return (
        Group(table, below(f"{plural(left, 'claim')} not begun within the budget; the same command goes on."))
        if left
        else table
    )


def report_table(cards: Sequence[ClaimCard]) -> RenderableType:
    """Return the standing of records: outcome, first effects, and what is wrong with those that do not count."""
    rows = []
    for card in cards:
        decided = [(part, judged) for part, judged in card.parts if judged is not None and part.judged]
        first = part_numbers(*decided[0]) if decided else {}
        effect = f"{first['effect']} {first['interval']}" if first else ""
        rows.append(
            (
                card.claim.name,
                card.text,
                effect,
                str(card.seeds or ""),
                duration(card.cpu_seconds) if card.cpu_seconds else "",
            )
        )
    table = ListTable(
        headings=("claim", "outcome", "effect of the first part", "seeds", "CPU time"),
        rows=rows,
        right=("seeds", "CPU time"),
        end=("outcome", "effect of the first part"),
    )
    wrong = [Text(f"{card.claim.name}: {card.outcome}. {card.standing.reason}", style="yellow") for card in cards
             if card.outcome in {"refused", "outdated"}]  # fmt: skip
    return Group(table, below(total_words(cards)), *wrong)
