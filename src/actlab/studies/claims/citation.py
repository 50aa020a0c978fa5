"""Outcomes of claims about an activation or a topic, looked up in an index without loading the claims.

The index is beside the records and has, for every record that counted when it was written, the words it is about, the outcome, and a digest
of the files on which that depends: the claim's own, its record and rows, the code of its tasks and the formulas of its arms. Where a digest
is no longer that of the files, the claim is loaded and its record checked, which takes a second instead of a millisecond.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from actlab.studies.claims.claim import Claim
    from actlab.studies.claims.record import Standing

__all__ = ["INDEX", "Citation", "claims_about", "write_index"]

#: Name of the index, without its ending.
INDEX: Final = "index"
_RECORDS: Final = Path(__file__).parent / "records"
_PACKAGE: Final = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Citation:
    """A claim with its outcome.

    Attributes:
        claim: its name.
        sentence: what is claimed.
        outcome: in words.
    """

    claim: str
    sentence: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.sentence} {self.outcome[:1].upper()}{self.outcome[1:]} (actlab claims show {self.claim})"

    def to_dict(self) -> dict[str, str]:
        """Return the fields, ready for JSON."""
        return dict(vars(self))


def claims_about(*topics: Iterable[str], records: Path = _RECORDS) -> list[Citation]:
    """Return the claims about any of some topics whose records count, by name.

    Args:
        topics: sets of words; a claim is about a topic where its ``about`` and its domain have all words of it. Parameters in brackets
            are left out of the comparison.
        records: folder of the records.

    Example:
        >>> all("tanh" in citation.claim for citation in claims_about(["no such topic"]))
        True
    """
    wanted, read = [frozenset(topic) for topic in topics], dict[str, bytes]()
    index = _index(records)
    found = {name: entry for name, entry in index.items() if any(topic <= {*entry["words"]} for topic in wanted)}
    return [
        Citation(claim=name, sentence=entry["sentence"], outcome=entry["outcome"])
        for name, entry in found.items()
        if entry["digest"] == _digest(name, entry["files"], records, read) or _still_counts(name, entry, records)
    ]


def _index(records: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found: dict[str, Any] = json.loads((records / f"{INDEX}.json").read_text(encoding="utf-8"))
        return found
    return {}


def _digest(name: str, files: Iterable[str], records: Path, read: dict[str, bytes] | None = None) -> str:
    """Return the digest of the files of a claim, of its record and of its rows.

    Args:
        name: of the claim.
        files: relative to the package.
        records: folder of the records.
        read: digests of files that were read before, for claims with the same files.
    """
    known, package = {} if read is None else read, str(_PACKAGE)
    whole = hashlib.sha256()
    for path in (f"{records}/{name}.json", f"{records}/{name}.csv", *(f"{package}/{file}" for file in files)):
        if path not in known:
            known[path] = _file_digest(path)
        whole.update(known[path])
    return whole.hexdigest()[:16]


def _file_digest(path: str) -> bytes:
    """Return the digest of a file; of one that is not there, of nothing. Plain calls of the system take half of the time of a Path's."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""
    try:
        return hashlib.sha256(os.read(file, os.fstat(file).st_size)).digest()
    finally:
        os.close(file)


def _still_counts(name: str, entry: Mapping[str, Any], records: Path) -> bool:
    """Return whether the record of a claim counts and has the outcome of the index, although one of its files was edited."""
    from actlab.studies.claims.claim_files import find_claim  # noqa: PLC0415 # imports torch and SymPy
    from actlab.studies.claims.record import stand  # noqa: PLC0415 # as above

    with suppress(Exception):  # a file that was edited may raise anything; then it is not cited
        standing = stand(find_claim(name), records)
        return standing.outcome is not None and standing.outcome.text == entry["outcome"]
    return False


def write_index(standings: Mapping[str, tuple[Claim, Standing]], records: Path) -> None:
    """Write the index of the records that count; where the folder cannot be written, the earlier index stays.

    Args:
        standings: claims of ActLab by name, with the standing of their records.
        records: folder of the records.
    """
    from actlab.studies.claims.registration import code_files  # noqa: PLC0415 # imports torch and SymPy
    from actlab.system.atomic_write import write_atomically  # noqa: PLC0415 # not needed to read

    entries = {}
    for name, (claim, standing) in sorted(standings.items()):
        if standing.outcome is not None and claim.file is None:
            files = sorted(Path(file).relative_to(_PACKAGE).as_posix() for file in code_files(claim))
            words = sorted({claim.domain, *(word.partition("(")[0] for word in claim.about)})
            found = {"sentence": claim.sentence, "outcome": standing.outcome.text, "words": words, "files": files}
            entries[name] = found | {"digest": _digest(name, files, records)}
    text = json.dumps(entries, indent=1, sort_keys=True) + "\n"
    if entries != _index(records):
        with suppress(OSError):
            write_atomically(records / f"{INDEX}.json", text.encode(), private=False)
