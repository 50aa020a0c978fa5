"""Every command in the text of the pages runs, and every script that they name exists with the options they give it."""

from __future__ import annotations

import re
import tomllib

import pytest
import typer
from tests.docs.blocks import ROOT, Block, Runner
from tests.docs.commands import commands
from tests.docs.test_blocks import PAGES as PAGES_WHOSE_BLOCKS_RUN

from actlab.cli import app

# Made from the command line, by tests/test_bad_input.py, which runs all its commands, and from the names of files.
GENERATED = {"docs/reference/cli.md", "docs/reference/error_messages.md", "docs/project/architecture.md"}
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")] + sorted((ROOT / "docs").rglob("*.md"))
FOUND = {
    str(page.relative_to(ROOT)): commands(page.read_text(encoding="utf-8"))
    for page in PAGES
    if str(page.relative_to(ROOT)) not in GENERATED
}
NAMES = set(typer.main.get_command(app).commands)
# Words that are put in place of others, or added, so that a command takes a second. A comparison is checked and not trained.
SHORTER = {
    "compare": {"--dry-run": None},
    "bench": {"--size": "4k", "--rounds": "1"},
    "hardware": {"--size": "4k", "--rounds": "1"},
    "calibrate": {"--rounds": "1", "--dry-run": None},
    "cost": {"--rounds": "1"},
    "doctor": {"--budget": "1s", "--steps": "20"},
}
# Words that are added where a command has none of its own, as it would do all activations.
SUBJECT = {"bench": ["gelu"], "hardware": ["gelu"], "calibrate": ["telu"], "reference": ["gelu"]}
MADE_BEFORE = [
    "compare",
    "my_task.py",
    "relu",
    "gelu",
    "--seeds",
    "2",
    "--name",
    "mine",
    "--store",
    "sqlite:///actlab.db",
]
FINDING = {"doctor": {0, 1}, "audit": {0, 1}, "lint": {0, 1}}  # exit codes besides 0
# The script of the commands with --script. One is run: the others differ in what the script is given, and each takes three seconds.
TRAIN = """
import sys, actlab
from torch import nn

actlab.apply_(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))
actlab.report(step=1, accuracy=0.5)
"""


def shortened(words: list[str]) -> list[str]:
    """Return the words of a command as they are run: fewer seeds and rounds, smaller sizes; an option's help where there is only a name."""
    name, rest = words[0], list(words[1:])
    if name == "claims":  # NAME stands for a claim here; this one trains nothing
        return [name, *("rani-fixed-point" if word == "gelu" else word for word in rest)]
    if rest == ["--script"]:
        return [name, "--help"]
    if not rest or rest[0].startswith("-"):
        rest = [*SUBJECT.get(name, []), *rest]
    if not rest and name in NEED_A_SUBJECT:
        return [name, "--help"]
    for option, value in SHORTER.get(name, {}).items():
        if option in rest and value is not None:
            rest[rest.index(option) + 1] = value
        elif option not in rest and option in _options(name):
            rest += [option] if value is None else [option, value]
    return [name, *rest]


NEED_A_SUBJECT = {"compare", "conform", "export", "show", "doctor", "sites", "importance", "cost", "audit", "lint"}


def _options(name: str) -> set[str]:
    return {word for option in typer.main.get_command(app).commands[name].params for word in option.opts}


TYPED = {
    " ".join(words): shortened(words[1:])
    for page in FOUND
    for words in commands((ROOT / page).read_text(encoding="utf-8"), of_blocks=page not in PAGES_WHOSE_BLOCKS_RUN)
    if words[0] == "actlab" and words[1:] and not words[1].startswith("-")
}
SCRIPTS = sorted({tuple(words) for page in FOUND.values() for words in page if words[0] != "actlab"})


def test_the_commands_that_pages_name_are_commands():
    assert {words[0] for words in TYPED.values()} <= NAMES
    assert len(TYPED) >= 25


def test_every_command_of_the_pages_runs(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "docs" / "evidence").mkdir(parents=True)
    runner = Runner()
    shorter = [MADE_BEFORE, *dict.fromkeys(map(tuple, TYPED.values()))]
    scripts = [words for words in shorter if "--script" in words]
    typed = [words for words in shorter if words not in scripts[1:]]
    page = [CommandBlock(line=0, language="sh", text="", words=list(words)) for words in typed]
    try:
        results = runner(page, tmp_path)
    finally:
        runner.close()

    failed = [
        f"actlab {' '.join(words)}: exit code {result.exits}\n{result.printed[-500:]}"
        for words, result in zip(typed, results, strict=True)
        if not set(result.exits) <= FINDING.get(words[0], {0})
    ]
    assert not failed, "\n".join(failed)


class CommandBlock(Block):
    """A block of one command, given in words."""

    def __init__(self, *, words: list[str], **fields):
        super().__init__(**fields)
        object.__setattr__(self, "words", words)

    @property
    def commands(self) -> list[list[str]]:
        """The words of the command."""
        return [self.words]


@pytest.mark.parametrize("words", SCRIPTS, ids=" ".join)
def test_a_script_that_a_page_names_exists_and_knows_its_options(words):
    name, *rest = words[1:] if words[0].endswith(("python", "python3")) else words
    file = ROOT / name
    assert file.is_file(), " ".join(words)

    options = [word.partition("=")[0] for word in rest if re.match(r"--\w", word)]
    passes_on = name == "scripts/test"  # to pytest
    text = file.read_text(encoding="utf-8")
    assert passes_on or [option for option in options if option not in text] == []
    assert [path for path in rest if path.startswith("tests/") and not (ROOT / path.partition("::")[0]).exists()] == []


def test_extras_that_pages_install_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named = {
        extra
        for page in PAGES
        for found in re.findall(r"(?:actlab|\.)\[([a-z,]+)\]", page.read_text(encoding="utf-8"))
        for extra in found.split(",")
    }

    assert named
    assert named <= extras.keys()


def test_commands_are_found_in_text_tables_and_blocks():
    page = (
        "Type `actlab show NAME [--json]`, or ``no command``.\n\n| `actlab list`, `rules` | all |\n\n"
        "```sh\n$ actlab find --monotone   # some\nscripts/test && scripts/check --fix\npip install x\n```\n\n"
        "```python\nactlab.compare()\n```\n"
    )

    assert commands(page) == [
        ["actlab", "find", "--monotone"], ["scripts/test"], ["scripts/check", "--fix"], ["actlab", "show", "gelu", "--json"],
        ["actlab", "list"],
    ]  # fmt: skip
