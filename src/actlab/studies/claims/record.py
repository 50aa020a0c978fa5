"""Record of a claim, its registration and outcome as JSON and the rows of its trials as CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from actlab.errors import PlanError, StoreError
from actlab.studies.claims.claim import Claim
from actlab.studies.claims.claim_outcome import ClaimOutcome, judge_claim
from actlab.studies.claims.effect import Rows, column_value
from actlab.studies.claims.registration import Registration, register
from actlab.system.atomic_write import write_atomically
from actlab.system.name_list import listed

__all__ = ["SHIPPED_RECORDS", "Record", "Standing", "State", "rows_of_study", "stand"]

#: Folder of the records that ship with ActLab.
SHIPPED_RECORDS: Final = Path(__file__).parent / "records"
_ALWAYS: Final = ("study", "arm", "seed", "status", "lr", "steps", "cpu_seconds", "trainer")

#: Types of the fields of a record's file; those of ``outcome.parts`` and of ``registration.studies`` too.
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "registration": (dict,),
    "registration.studies": (dict,),
    "registered": (str,),
    "rows": (str,),
    "outcome": (dict, type(None)),
    "outcome.parts": (list, type(None)),
    "finished": (str, type(None)),
    "cpu_seconds": (int, float),
    "versions": (dict,),
    "earlier": (list,),
    "sentence": (str,),
}
_FOUND: Final = ("decision", "n", "effect", "low", "high")

State: TypeAlias = Literal["not run", "current", "outdated", "refused"]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is stored of a claim.

    Attributes:
        registration: of the pass rule and the studies, taken before the first row.
        registered: when, ISO 8601 in UTC.
        rows: of finished trials, by key of the study; numbers under the full names of columns.
        outcome: as :meth:`ClaimOutcome.to_dict` gave it after the last row, or None.
        finished: when that was, ISO 8601 in UTC, or None.
        cpu_seconds: of all trials, with those that tuned learning rates.
        versions: software and machine of the last trial.
        earlier: times of earlier registrations whose rows were dropped, since the rule or a study was changed.
        sentence: that of the claim when it was registered.
    """

    registration: Registration
    registered: str
    rows: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    outcome: Mapping[str, Any] | None = None
    finished: str | None = None
    cpu_seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    earlier: tuple[str, ...] = ()
    sentence: str = ""

    @property
    def has_run(self) -> bool:
        """Whether the claim was judged at least once; otherwise it is only registered."""
        return self.outcome is not None

    @classmethod
    def new(cls, claim: Claim, *, earlier: Record | None = None) -> Record:
        """Return a record without rows, registered now."""
        past = () if earlier is None else (*earlier.earlier, earlier.registered)
        return cls(registration=register(claim), registered=now(), earlier=past, sentence=claim.sentence)

    @classmethod
    def read(cls, claim: str, folder: Path) -> Record | None:
        """Return the record of a claim, or None where the folder has none.

        Raises:
            StoreError: the files are damaged, or do not belong together.
        """
        return cls._read(claim, folder, with_rows=True)

    @classmethod
    def read_without_rows(cls, claim: str, folder: Path) -> Record | None:
        """Return the record of a claim without its rows, whether or not the file of the rows belongs to it; None where there is none.

        A run that is killed between the writing of the two files leaves rows of another look; the run that follows has them from the store.

        Raises:
            StoreError: the record is damaged.
        """
        return cls._read(claim, folder, with_rows=False)

    @classmethod
    def _read(cls, claim: str, folder: Path, *, with_rows: bool) -> Record | None:
        file = folder / f"{claim}.json"
        if not file.is_file():
            return None
        try:
            fields = _checked(json.loads(file.read_text(encoding="utf-8")))
            digest, rows = fields.pop("rows"), {}
            if with_rows:
                text = _rows_file(claim, folder)
                _check_rows(claim, folder, digest, text)
                rows = _parsed(text)
            registration = Registration(**fields.pop("registration"))
            earlier = tuple(fields.pop("earlier", ()))
            return cls(registration=registration, rows=rows, earlier=earlier, **fields)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise StoreError(
                f"The record {file} cannot be read ({type(error).__name__}: {error}). Restore it, or run the claim again with --restart."
            ) from error

    def with_rows(self, claim: Claim, rows: Mapping[str, Iterable[Mapping[str, Any]]], **more: Any) -> Record:
        """Return the record with the rows of trials in the place of the earlier ones, and their outcome.

        Raises:
            PlanError: no trial has a number in a column that a judged part reads.
        """
        kept = {key: tuple(_kept(row, key, claim) for row in found) for key, found in rows.items()}
        _check_numbers(claim, kept)
        return replace(self, rows=kept, outcome=judge_claim(claim, kept).to_dict(), finished=now(), **more)

    def write(self, claim: str, folder: Path) -> None:
        """Write both files, each at once or not at all.

        Raises:
            StoreError: the folder cannot be written.
        """
        text = _csv_text(self.rows)
        fields = {name: value for name, value in vars(self).items() if name != "rows"}
        fields |= {"registration": asdict(self.registration), "earlier": list(self.earlier), "rows": _text_digest(text)}
        content = json.dumps(fields, indent=1, allow_nan=False) + "\n"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{claim}.csv", text.encode(), private=False)
            write_atomically(folder / f"{claim}.json", content.encode(), private=False)
        except OSError as error:
            raise StoreError(f"The records in {folder} cannot be written: {error.strerror or error}.") from error


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether the record of a claim still counts.

    Attributes:
        state: "not run"; "current"; "outdated", where a plan or the code behind it was changed after the run; "refused", where the pass
            rule, the rows or the recorded outcome were changed after the run.
        reason: in words, with what to do; of a current record empty, or which words were changed since it was registered.
        outcome: of a current record; None for all others, whose outcome does not count.
        record: the record, where there is one that can be read.
    """

    state: State
    reason: str = ""
    outcome: ClaimOutcome | None = None
    record: Record | None = None


def stand(claim: Claim, folder: Path = SHIPPED_RECORDS) -> Standing:
    """Return whether the record of a claim still counts, and its outcome if it does.

    Args:
        claim: as it is now.
        folder: of the records.
    """
    try:
        record = Record.read(claim.name, folder)
    except StoreError as error:
        return Standing(state="refused", reason=str(error))
    if record is None or not record.has_run:
        return Standing(state="not run", reason=f"Run it: actlab claims run {claim.asked_as}", record=record)
    again = f"Undo the change, or drop the rows and run again: actlab claims run {claim.asked_as} --restart"
    changes = register(claim).changes(record.registration)
    if "the pass rule" in changes:
        return Standing(state="refused", reason=f"The pass rule was edited after the run. {again}", record=record)
    if changes:
        return Standing(state="outdated", reason=f"Since the run {listed(changes)} has changed. {again}", record=record)
    try:
        outcome = judge_claim(claim, record.rows)
    except PlanError as error:  # the rows have no column of this name
        return Standing(state="refused", reason=f"The rows do not fit the claim: {error} {again}", record=record)
    difference = _first_difference(_findings(record.outcome or {}), _findings(outcome.to_dict()))
    if difference:
        reason = f"The recorded outcome is not that of the rows: {difference}. {again}"
        return Standing(state="refused", reason=reason, record=record)
    return Standing(state="current", reason=_rewordings(claim, record), outcome=outcome, record=record)


def _rewordings(claim: Claim, record: Record) -> str:
    """Say which words of a claim were changed since it was registered, or since its last run, and what they were."""
    notes = []
    if record.sentence not in {"", claim.sentence}:
        notes.append(f"The sentence was reworded since it was registered; it was: {record.sentence}")
    recorded = (record.outcome or {}).get("parts", ())
    for number, (part, earlier) in enumerate(zip(claim.parts, recorded, strict=False), start=1):
        for name, now_is in (("statement", part.says), ("unit", part.unit)):
            was = earlier.get("says" if name == "statement" else "unit", now_is)
            if was != now_is:
                notes.append(f"The {name} of part {number} was reworded since the last run; it was: {was}")
    return " ".join(notes)


def _checked(fields: Any) -> dict[str, Any]:
    """Return the fields of a record's file.

    Raises:
        TypeError: they are none, or one of them is of another type.
    """
    if not isinstance(fields, dict):
        raise TypeError(f"an object is needed, got {type(fields).__name__}")
    outcome = fields.get("outcome") or {}
    nested = {"registration.studies": (fields["registration"], "studies"), "outcome.parts": (outcome, "parts")}
    found = {**fields, **{name: owner.get(key) for name, (owner, key) in nested.items() if isinstance(owner, dict)}}
    for name, kinds in _TYPES.items():
        if name in found and not isinstance(found[name], kinds):
            raise TypeError(f"{name} is of type {type(found[name]).__name__}")
    if not all(isinstance(part, dict) for part in outcome.get("parts", ())):
        raise TypeError("outcome.parts is no list of objects")
    return fields


def _findings(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found, without the forecasts and the words beside it, under one name for each value."""
    parts = outcome.get("parts", [])
    numbers = [{f"{name} of part {i}": part.get(name) for name in _FOUND} for i, part in enumerate(parts, start=1)]
    words = {
        "result": outcome.get("result"),
        "conditions": dict(outcome.get("conditions", {})),
        "number of parts": len(parts),
    }
    return words | {name: value for part in numbers for name, value in part.items()}


def _first_difference(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    for name in dict.fromkeys([*recorded, *found]):
        one, other = recorded.get(name), found.get(name)
        close = (
            isinstance(one, float)
            and isinstance(other, float)
            and math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)
        )
        if one != other and not close:  # another processor may round the last digit in another way
            return f"{name} is {_shown(one)} in the record, {_shown(other)} by the rows"
    return ""


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def now() -> str:
    """Return the time, ISO 8601 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def rows_of_study(rows: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the final main trials of a study, with arms as the claim writes them.

    Args:
        rows: of :meth:`actlab.Study.rows`.
        texts: from labels of arms to their texts in the claim.
    """
    main = (row for row in rows if row["stage"] == "main" and not row["provisional"])
    return [{**row, "arm": texts[row["arm"]]} for row in main if row["arm"] in texts]


def _kept(row: Mapping[str, Any], key: str, claim: Claim) -> dict[str, Any]:
    """Return the columns of a row that the claim needs, under their full names."""
    columns = {
        cell.column
        for part in claim.parts
        if part.effect is not None
        for cell in part.effect.cells
        if cell.study == key and cell.column != "diverged"
    }
    numbers = {column: column_value(row, column) for column in sorted({"metric", *columns})}
    trainer = row.get("trainer") or (row.get("versions") or {}).get("trainer", "")
    fixed = {
        "arm": row["arm"],
        "seed": int(row["seed"]),
        "status": row["status"],
        "lr": row["lr"],
        "steps": row["steps"],
    }
    return {**fixed, "cpu_seconds": round(float(row["cpu_seconds"]), 3), "trainer": trainer, **numbers}


def _check_numbers(claim: Claim, rows: Rows) -> None:
    """Check that each column that a judged part reads has a number in some trial, so that a mistyped one does not end undecided."""
    for part in claim.parts:
        for cell in part.effect.cells if part.effect is not None and part.judged else ():
            done = [row for row in rows.get(cell.study, ()) if row["status"] == "completed"]
            if done and all(column_value(row, cell.column) is None for row in done):
                raise PlanError(
                    f"The part {part.says!r} reads {cell.column!r}, and no trial of the study {cell.study!r} has such a number. "
                    "Metrics are those that its task defines; numbers of axes are on the page on axes."
                )


def _csv_text(rows: Mapping[str, Iterable[Mapping[str, Any]]]) -> str:
    flat = [{"study": key, **row} for key, found in rows.items() for row in found]
    columns = [*_ALWAYS, *sorted({name for row in flat for name in row} - {*_ALWAYS})]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def _parsed(text: str) -> dict[str, tuple[Mapping[str, Any], ...]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        words = {name: row.pop(name) for name in ("arm", "status", "trainer")}
        study, seed = row.pop("study"), int(row.pop("seed"))
        numbers = {name: _number(cell) for name, cell in row.items()}
        found.setdefault(study, []).append({**words, "seed": seed, **numbers})
    return {study: tuple(rows) for study, rows in found.items()}


def _number(cell: str) -> float | None:
    if cell == "":
        return None
    number = float(cell)
    if math.isnan(number):
        raise ValueError("a number is nan")
    return number


def _rows_file(claim: str, folder: Path) -> str:
    return (folder / f"{claim}.csv").read_text(encoding="utf-8")


def _check_rows(claim: str, folder: Path, digest: str, text: str) -> None:
    if _text_digest(text) != digest:
        raise StoreError(
            f"The rows in {folder / claim}.csv are not those of the record: they were changed after the run, or the two files come from "
            f"different runs. Restore them, or run again: actlab claims run {claim} --restart"
        )


def _text_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
