"""Numbers with their nouns, in every text a user sees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from actlab.system.plural import plural

SOURCE = Path(__file__).parents[2] / "src" / "actlab"
# a number that is printed before the plural of a noun that counts what may be one
BARE = re.compile(
    r"\{(?:len\([^{}]*\)|[\w.]*(?:trials|seeds|outcome\.trials|samples)[\w.\[\]]*)\} (?:seeds|trials|samples|pages)\b"
)


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "seed", "1 seed"),
        (2, "seed", "2 seeds"),
        (0, "trial", "0 trials"),
        (1, "batch", "1 batch"),
        (3, "batch", "3 batches"),
        (2, "epoch", "2 epochs"),
    ],
)
def test_a_noun_agrees_with_its_number(number, noun, text):
    assert plural(number, noun) == text


@pytest.mark.parametrize("room", ["report", "cli", "studies/verdict"])
def test_no_text_for_readers_has_a_fixed_plural_after_a_number(room):
    found = {
        f"{file.relative_to(SOURCE)}: {match[0]}"
        for file in (SOURCE / room).rglob("*.py")
        for match in BARE.finditer(file.read_text(encoding="utf-8"))
    }

    assert {text for text in found if "tasks/metrics" not in text} == set()
