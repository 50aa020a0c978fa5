"""The history of the repository: the file of each claim was committed with its rule before the first of its rows."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import pytest

from actlab.claims import SHIPPED_RECORDS, claim_names, find_claim
from actlab.studies.claims.claim import Claim
from actlab.studies.claims.claim_files import claim_file


def git(*words):
    done = subprocess.run(["git", *words], cwd=SHIPPED_RECORDS, capture_output=True, text=True, check=False)  # noqa: S607
    return done.stdout if done.returncode == 0 else ""


def is_whole():
    return bool(shutil.which("git")) and git("rev-parse", "--is-shallow-repository").strip() == "false"


def rule(claim):
    """Return what may not change: the rules of its parts, without the code of closed forms, and its studies without numbers of seeds."""
    parts = [
        (part.kind, part.effect, part.smallest, part.condition, part.judged, part.exact and part.exact.claimed)
        for part in claim.parts
    ]
    studies = {key: (study.task, study.arms, study.options()) for key, study in claim.studies.items()}
    return claim.alpha, parts, studies


def earlier_claim(text, file):
    file.write_text(text)
    found = find_claim(file)
    assert isinstance(found, Claim)
    return found


@pytest.fixture(scope="module")
def records():
    """Return the records that ship and are committed, by name."""
    listed = {Path(line).stem for line in git("ls-files", "*.json").splitlines()} & {*claim_names()}
    return {name: json.loads((SHIPPED_RECORDS / f"{name}.json").read_text()) for name in sorted(listed)}


def commits():
    """Return the commits of each file of the library, newest first: hash and time."""
    folder, found = Path(claim_file(claim_names()[0])).parents[1], dict[str, list[tuple[str, str]]]()
    for entry in git("log", "--format=%x00%H %cI", "--name-only", "--", str(folder)).split("\0")[1:]:
        head, *names = entry.split("\n")
        for name in filter(None, names):
            found.setdefault(Path(name).stem, []).append((head.split()[0], head.split()[1]))
    return found


@pytest.mark.skipif(not is_whole(), reason="the history of the repository is not here")
def test_the_rule_of_each_claim_was_committed_before_the_first_row_of_its_studies(records, tmp_path):
    """Claims with one study share its rows, so that the first registration of any of them counts."""
    first: dict[str, str] = {}
    for record in records.values():
        for study in record["registration"]["studies"].values():
            first[study] = min(first.get(study, "9"), record["registered"])
    history = commits()
    for name, record in records.items():
        rows_begin = min(
            [record["registered"], *(first[study] for study in record["registration"]["studies"].values())]
        )
        file = Path(claim_file(name))
        before = [
            at
            for at, when in history.get(file.stem, ())
            if datetime.fromisoformat(when) < datetime.fromisoformat(rows_begin)
        ]
        assert before, f"{name} was committed after {rows_begin}, when its rows began"
        then = git("show", f"{before[0]}:./../{file.relative_to(SHIPPED_RECORDS.parent).as_posix()}")
        if then != file.read_text():
            assert rule(earlier_claim(then, tmp_path / "earlier.py")) == rule(find_claim(name)), name
