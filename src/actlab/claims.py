"""Claims of the literature, run as studies and recorded with their rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from actlab.errors import ActlabError, StoreError
from actlab.studies.claims.citation import INDEX, claims_about, write_index
from actlab.studies.claims.claim import (
    Claim,
    ClaimStudy,
    Exact,
    Part,
    Source,
    difference,
    growth,
    value,
    variance,
)
from actlab.studies.claims.claim_files import check_claim_name, claim_names, find_claim, find_claims
from actlab.studies.claims.claim_outcome import ClaimOutcome, judge_claim
from actlab.studies.claims.record import SHIPPED_RECORDS, Record, Standing, rows_of_study, stand
from actlab.studies.claims.registration import register
from actlab.studies.execution.run import ProgressCallback
from actlab.study import Study, compare
from actlab.system.duration import parse_budget
from actlab.system.name_list import listed

if TYPE_CHECKING:
    from actlab.report.content.claims import ClaimCard

__all__ = [
    "SHIPPED_RECORDS",
    "Claim",
    "ClaimOutcome",
    "ClaimRun",
    "ClaimStudy",
    "Exact",
    "Part",
    "Record",
    "RunSettings",
    "Source",
    "Standing",
    "claim_cards",
    "claim_names",
    "claims_about",
    "difference",
    "find_claim",
    "find_claims",
    "growth",
    "judge_claim",
    "records_without_claim",
    "run_claim",
    "run_claims",
    "stand",
    "update_citations",
    "value",
    "variance",
]

_FEWEST_MORE = 2  # seeds that are added at a time, at least


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How a claim is run.

    Attributes:
        store: URL or path of the store of trials, as for :func:`actlab.compare`.
        jobs: processes that run trials.
        seeds: number of seeds of every study, in the place of the claim's first look and of its largest number.
        budget: time after which no trial is started, as "2h" or in seconds.
        restart: whether an earlier record of a changed claim is dropped.
        progress: as for :func:`actlab.compare`.
    """

    store: str | Path | None = None
    jobs: int | None = None
    seeds: int | None = None
    budget: str | float | None = None
    restart: bool = False
    progress: ProgressCallback | bool | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimRun:
    """What became of one claim of several that were run.

    Attributes:
        name: of the claim, or the source that could not be read.
        outcome: None where it could not be run.
        error: why it could not be run; empty where it was.
        seconds: that it took.
    """

    name: str
    outcome: ClaimOutcome | None
    error: str = ""
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        outcome = None if self.outcome is None else self.outcome.to_dict()
        return {"name": self.name, "outcome": outcome, "error": self.error or None, "seconds": round(self.seconds, 1)}


@dataclass(kw_only=True)
class _Run:
    """State of a running claim."""

    claim: Claim
    folder: Path
    settings: RunSettings
    record: Record
    seeds: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    ends: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time for it is spent."""
        return self.ends is not None and time.monotonic() >= self.ends

    def look(self) -> ClaimOutcome:
        """Run the studies with their present numbers of seeds, and record rows and outcome."""
        self.cpu_seconds = 0.0
        rows = {key: self._rows(key, self.seeds[key]) for key in self.claim.studies}
        self.record = self.record.with_rows(
            self.claim, rows, cpu_seconds=round(self.cpu_seconds, 1), versions=self.versions
        )
        self.record.write(self.claim.name, self.folder)
        return judge_claim(self.claim, self.record.rows)

    def _rows(self, key: str, seeds: int) -> list[dict[str, Any]]:
        found = self._compare(key, seeds)
        trials = found.rows()
        self.cpu_seconds += sum(row["cpu_seconds"] for row in trials)
        self.versions = {name: text for row in trials[-1:] for name, text in row["versions"].items()}
        return rows_of_study(trials, dict(zip(found.plan.labels, self.claim.studies[key].arms, strict=True)))

    def _compare(self, key: str, seeds: int) -> Study:
        study, settings = self.claim.studies[key], self.settings
        registration = self.record.registration
        digest = registration.studies[key][:12]
        if self.record.earlier and key in registration.modules:  # else rows from before the change would be found
            digest += f"-{registration.modules[key][:6]}"
        return compare(
            study.task,
            study.arms,
            seeds=seeds,
            store=settings.store,
            jobs=settings.jobs,
            progress=settings.progress,
            budget=None if self.ends is None else max(1.0, self.ends - time.monotonic()),
            # by the digest, so that claims share a study, and rows of a task whose code was changed are not found
            name=f"claim-{Path(study.task).stem}-{digest}",
            target="none",
            **study.options(),
        )

    def extend(self, outcome: ClaimOutcome) -> bool:
        """Add seeds to the studies of undecided parts; return whether there are any to add."""
        before = dict(self.seeds)
        for part, judged in zip(self.claim.parts, outcome.parts, strict=True):
            if judged.decision != "undecided" or not judged.judged or part.effect is None:
                continue
            wanted = max(before[key] for key in part.effect.studies) + max(_FEWEST_MORE, judged.more or 0)
            for key in part.effect.studies:
                self.seeds[key] = max(self.seeds[key], min(wanted, self.claim.studies[key].most))
        return self.seeds != before


def claim_cards(claims: Iterable[str | Path] | None = None, *, records: str | Path | None = None) -> list[ClaimCard]:
    """Return claims with the standing of their records, for tables and pages.

    Args:
        claims: names or files; all that ship with ActLab, by name, for None.
        records: folder of the records; those that ship with ActLab for None.

    Raises:
        ActlabError: as for :func:`find_claims`.
    """
    from actlab.report.content.claims import ClaimCard  # noqa: PLC0415 # running claims needs no report

    folder = SHIPPED_RECORDS if records is None else Path(records)
    cards = []
    for claim in find_claims(claims):
        rows = folder / f"{claim.name}.csv"
        cards.append(ClaimCard(claim=claim, standing=stand(claim, folder), rows=rows if rows.is_file() else None))
    return cards


def update_citations(cards: Iterable[ClaimCard]) -> None:
    """Write the outcomes that ``actlab show`` and ``actlab doctor`` cite; nothing where the package's folder cannot be written.

    Args:
        cards: of all claims that ship with ActLab, with the records that do.
    """
    write_index({card.claim.name: (card.claim, card.standing) for card in cards}, SHIPPED_RECORDS)


def records_without_claim(records: str | Path | None = None) -> list[str]:
    """Return the names of records of a folder, by default that of ActLab, for which no claim ships any more."""
    folder = SHIPPED_RECORDS if records is None else Path(records)
    return sorted({file.stem for file in folder.glob("*.json")} - {*claim_names(), INDEX})


def run_claim(
    claim: Claim | str | Path,
    *,
    records: str | Path = "claims",
    settings: RunSettings | None = None,
    looked: Callable[[ClaimOutcome], None] | None = None,
    **options: Any,
) -> ClaimOutcome:
    """Run or resume a claim until each of its parts is decided, or its largest number of seeds is reached.

    The pass rule and the studies are registered in the record before the first trial. Rows and outcome are written after every look.
    Trials that are in the store are not run again, also not those of another claim with the same study.

    Args:
        claim: the claim, the name of one that ships with ActLab, or a Python file that defines one.
        records: folder of the records.
        settings: how it is run; the defaults if not given.
        looked: called with the outcome after every look.
        options: fields of :class:`RunSettings`, in the place of those of ``settings``.

    Returns:
        The outcome.

    Raises:
        StoreError: the record is of another rule or other studies, and ``restart`` is false.
        ActlabError: as for :func:`actlab.compare`.
        StudyInterrupted: Ctrl-C; the same call goes on.
    """
    chosen = replace(settings or RunSettings(), **options)
    found = claim if isinstance(claim, Claim) else find_claim(claim)
    folder = Path(records)
    budget = parse_budget(chosen.budget)
    ends = None if budget is None else time.monotonic() + budget
    record = _registered(found, folder, restart=chosen.restart)
    run = _Run(claim=found, folder=folder, settings=chosen, record=record, ends=ends)
    run.seeds = {key: chosen.seeds or study.seeds for key, study in found.studies.items()}
    for key, rows in run.record.rows.items():  # a run that goes on does not look at fewer seeds than before
        run.seeds[key] = max(run.seeds[key], len({row["seed"] for row in rows}))
    while True:
        outcome = run.look()
        if looked is not None:
            looked(outcome)
        if chosen.seeds is not None or run.is_over or not run.extend(outcome):
            return outcome


def run_claims(
    claims: Iterable[Claim | str | Path] | None = None,
    *,
    records: str | Path = "claims",
    settings: RunSettings | None = None,
    ended: Callable[[ClaimRun], None] | None = None,
    **options: Any,
) -> list[ClaimRun]:
    """Run or resume several claims one after the other, as :func:`run_claim`; one that fails does not stop the others.

    Args:
        claims: as for :func:`run_claim`; all that ship with ActLab for None.
        records: folder of the records.
        settings: how they are run; ``budget`` is that of all together.
        ended: called after every claim.
        options: fields of :class:`RunSettings`, in the place of those of ``settings``.

    Returns:
        What became of each, in the order given; those that were not begun within the budget are not in it.

    Raises:
        UnknownNameError: there is no claim of a name; raised before the first one runs.
        PlanError: the budget is no time.
        StudyInterrupted: Ctrl-C; the same call goes on.
    """
    chosen = replace(settings or RunSettings(), **options)
    budget = parse_budget(chosen.budget)
    sources = [check_claim_name(source) for source in (claim_names() if claims is None else claims)]
    began, runs = time.monotonic(), list[ClaimRun]()
    for source in sources:
        left = None if budget is None else budget - (time.monotonic() - began)
        if left is not None and left <= 0:
            break
        runs.append(_tried(source, Path(records), replace(chosen, budget=left)))
        if ended is not None:
            ended(runs[-1])
    return runs


def _tried(source: Claim | str | Path, folder: Path, settings: RunSettings) -> ClaimRun:
    name, began = source.name if isinstance(source, Claim) else str(source), time.monotonic()
    try:
        claim = source if isinstance(source, Claim) else find_claim(source)
        name, outcome, error = claim.name, run_claim(claim, records=folder, settings=settings), ""
    except ActlabError as found:
        outcome, error = None, str(found)
    except Exception as found:  # whatever a claim's own code raises
        outcome, error = None, f"{type(found).__name__}: {found}"
    return ClaimRun(name=name, outcome=outcome, error=error, seconds=time.monotonic() - began)


def _registered(claim: Claim, folder: Path, *, restart: bool) -> Record:
    """Return the record of the claim, a new one where there is none; it is written before the first trial.

    Raises:
        StoreError: the claim is not the one that was registered.
    """
    try:
        record = Record.read(claim.name, folder)
    except StoreError:
        record = _without_rows(claim, folder, restart=restart)
    changes = [] if record is None else register(claim).changes(record.registration)
    if record is not None and not changes:
        return record
    if record is not None and (record.has_run or any(record.rows.values())) and not restart:
        raise StoreError(
            f"The claim {claim.name} was registered on {record.registered[:10]} and has rows; since then {listed(changes)} has changed, so "
            f"they do not count. Undo the change, or drop the rows and register it anew: actlab claims run {claim.asked_as} --restart"
        )
    new = Record.new(claim, earlier=record)
    new.write(claim.name, folder)
    return new


def _without_rows(claim: Claim, folder: Path, *, restart: bool) -> Record | None:
    """Return a record whose rows do not belong to it, as after a run that was killed between two files; None to begin with a new one.

    Raises:
        StoreError: the record itself cannot be read.
    """
    try:
        return Record.read_without_rows(claim.name, folder)
    except StoreError:
        if not restart:
            raise
        return None
