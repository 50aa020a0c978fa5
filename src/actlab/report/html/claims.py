"""HTML page of claims of the literature, a card for each with what was measured."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from actlab.errors import ActlabError
from actlab.report.charts.claim_effects import interval_plot
from actlab.report.content.claims import (
    ClaimCard,
    is_factor,
    markdown_page,
    part_numbers,
    rule_words,
    seed_words,
    total_words,
)
from actlab.report.content.format import duration, plain
from actlab.report.html.template import render
from actlab.report.output_file import write_output
from actlab.studies.claims import OUTCOMES
from actlab.system.plural import plural

if TYPE_CHECKING:
    from actlab.studies.claims.claim import ClaimStudy, Part
    from actlab.studies.claims.part_judgement import PartJudgement

__all__ = ["claims_page", "write_claims"]

_BADGES = {"holds": "good", "holds only if": "partly", "does not hold": "bad", "refused": "bad"}
_ROWS = 600  # of a claim on the page; beyond, only the path of the file


def write_claims(cards: Sequence[ClaimCard], path: Path, *, force: bool = False) -> Path:
    """Write claims to a file, a page or, where the path ends in .md, a table, and return the path.

    Raises:
        ActlabError: the ending is another one, or the file cannot be written or replaced.
    """
    if path.suffix.lower() == ".md":
        return write_output(path, markdown_page(cards), what="table", force=force)
    if path.suffix.lower() not in {".html", ".htm"}:
        raise ActlabError(
            f"The ending of {str(path)!r} says no format; allowed are .html for the page and .md for a table."
        )
    return write_output(path, claims_page(cards), force=force)


def claims_page(cards: Sequence[ClaimCard]) -> str:
    """Return the page: one file that loads nothing from the network, and shows all claims without a script."""
    return render(
        "claims.html.j2",
        "page.css",
        "claims.css",
        title="Claims about activation functions",
        total=total_words(cards),
        count=len(cards),
        domains=sorted({card.claim.domain for card in cards}),
        outcomes=[outcome for outcome in OUTCOMES if any(card.outcome == outcome for card in cards)],
        cards=[_card(card) for card in cards],
    )


def _card(card: ClaimCard) -> dict[str, Any]:
    claim, data = card.claim, card.to_dict()
    stacked = "" if card.stacked is None else f"{card.stacked:.0%} of the trials as stacks"
    return {
        "name": claim.name,
        "sentence": claim.sentence,
        "domain": claim.domain,
        "outcome": card.outcome,
        "text": card.text,
        "badge": _BADGES.get(card.outcome, "open"),
        "reason": card.standing.reason,
        "source": claim.source.text,
        "link": card.source_link if (card.source_link or "").startswith(("https://", "http://")) else None,
        "note": claim.note,
        "words": " ".join(
            [claim.name, claim.sentence, claim.domain, card.text, *claim.about, claim.source.text]
        ).lower(),
        "conditions": data["conditions"],
        "parts": [_part(part, judged, row) for (part, judged), row in zip(card.parts, data["parts"], strict=True)],
        "rule": rule_words(claim),
        "studies": [_study(key, study) for key, study in claim.studies.items()],
        "registered": _day(data["registered"]),
        "earlier": ", ".join(map(_day, data["earlier"])),
        "finished": _day(data["finished"]),
        "seeds": plural(card.seeds, "seed") if card.seeds else "",
        "time": f"{duration(card.cpu_seconds)} of CPU time" if card.cpu_seconds else "",
        "stacked": stacked,
        "trials": plural(len(card.trials), "trial") if card.trials else "",
        "file": f"{claim.name}.csv" if card.trials else "",
        "rows": _rows(card),
    }


def _day(time: str | None) -> str:
    return "" if time is None else f"{time[:10]} {time[11:16]} UTC"


def _part(part: Part, judged: PartJudgement | None, row: dict[str, Any]) -> dict[str, Any]:
    shared = {name: row[name] for name in ("says", "condition", "judged", "rule", "measured")}
    if judged is None:
        return shared | {"decision": "", "numbers": None, "picture": "", "alt": "", "badge": "open"}
    numbers = part_numbers(part, judged)
    zero = "1" if is_factor(part) else "0"
    drawn = (
        "" if judged.kind == "exact" or not judged.n else interval_plot(judged, zero=zero, smallest=numbers["smallest"])
    )
    return shared | {
        "decision": judged.decision,
        "badge": _BADGES.get(judged.decision, "open"),
        "numbers": numbers
        | {"n": plural(judged.n, seed_words(part)), "infinite": judged.infinite, "missing": judged.missing},
        "picture": Markup(drawn),  # noqa: S704 its texts are escaped
        "alt": f"Effect {numbers['effect']} {numbers['unit']}, interval {numbers['interval']}",
    }


def _study(key: str, study: ClaimStudy) -> dict[str, str]:
    return {
        "key": key,
        "task": study.task,
        "arms": ", ".join(study.arms),
        "how": ", ".join(
            [
                f"{study.seeds} to {plural(study.most, 'seed')}",
                "learning rates tuned" if study.tune else "the task's learning rate",
                f"init {study.init}",
                *([f"axes {', '.join(study.evaluate)}"] if study.evaluate else []),
            ]
        ),
    }


def _rows(card: ClaimCard) -> dict[str, Any] | None:
    """Return heading and cells of the rows behind a claim, without columns that are empty; None where they are too many."""
    if card.rows is None or not 0 < len(card.trials) <= _ROWS:
        return None
    heading, *lines = csv.reader(io.StringIO(card.rows.read_text(encoding="utf-8")))
    used = [i for i in range(len(heading)) if any(line[i] for line in lines)]
    return {"heading": [heading[i] for i in used], "lines": [[_short(line[i]) for i in used] for line in lines]}


def _short(cell: str) -> str:
    """Return a number with five digits, and any other text as it is."""
    try:
        return plain(float(cell), 5)
    except ValueError:
        return cell
