"""Every code block of the pages runs, and prints what the page shows."""

from __future__ import annotations

import pytest
from tests.docs.blocks import ROOT, Runner, blocks, same

PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [
        ROOT / "README.md",
        ROOT / "docs" / "index.md",
        ROOT / "docs" / "reference" / "spec_grammar.md",
        *(page for room in ("tutorials", "how_to", "concepts") for page in (ROOT / "docs" / room).glob("*.md")),
    ]
)
BLOCKS = {page: blocks((ROOT / page).read_text(encoding="utf-8")) for page in PAGES}
RUN = [page for page in PAGES if any(block.skipped is None for block in BLOCKS[page])]


@pytest.fixture(scope="module")
def run():
    runner = Runner()
    yield runner
    runner.close()


@pytest.mark.parametrize("page", RUN)
def test_every_block_runs_and_prints_what_the_page_shows(page, run, tmp_path):
    kept = [block for block in BLOCKS[page] if block.skipped is None]

    for block, result in zip(kept, run(kept, tmp_path), strict=False):
        where = f"{page}, line {block.line}"
        assert not result.error, f"{where}:\n{result.error}"
        assert set(result.exits) <= {block.exits}, f"{where}: exit codes {result.exits}\n{result.printed}"
        assert block.agrees_with(result.printed), f"{where} printed:\n{result.printed}"


def test_few_blocks_are_left_out_and_each_says_why():
    left_out = [
        (page, block.line, block.skipped) for page in PAGES for block in BLOCKS[page] if block.skipped is not None
    ]

    assert all(len(reason) > 10 for _, _, reason in left_out)
    assert len(left_out) <= LEFT_OUT, left_out
    assert sum(len(found) for found in BLOCKS.values()) - len(left_out) >= 30


LEFT_OUT = (
    7  # a calibration of five minutes, two that take a minute, a block that needs torchvision, and parts of a file
)


def test_a_wrong_output_and_a_block_that_raises_are_noticed(run, tmp_path):
    page = blocks("```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n\n```python\nprint(missing)\n```\n")

    first, second = run(page, tmp_path)
    assert not page[0].agrees_with(first.printed)
    assert "NameError" in second.error


def test_a_comment_below_a_print_is_its_output():
    (page,) = blocks("```python\nprint(1)\n# 1\nprint(2)\n# 3\n```\n")

    assert not page.agrees_with("1\n2\n")
    assert page.agrees_with("1\n3\n")


def test_marks_files_replacements_and_indented_commands_are_understood():
    text = (
        "<!-- file: a.py -->\n```python\nx = 1\n```\n\n<!-- with: seeds=16 => seeds=2 -->\n```python\nf(seeds=16)\n```\n\n"
        "Words:\n\n    actlab list         # all\n    pip install x\n\n<!-- not run: takes an hour -->\n```sh\n$ actlab calibrate\n```\n"
    )

    written, replaced, indented, skipped = blocks(text)
    assert (written.file, replaced.text) == ("a.py", "f(seeds=2)\n")
    assert indented.commands == [["list"]]
    assert (skipped.skipped, skipped.commands) == ("takes an hour", [["calibrate"]])


def test_numbers_are_compared_unless_they_vary():
    assert same("a  1.5\nb", ["a 1.5", "b"], numbers_vary=False)
    assert not same("a 1.6", ["a 1.5"], numbers_vary=False)
    assert same("a 1.6 ms", ["a 1.5 ms"], numbers_vary=True)
    assert same("from 3 to 4", ["from ... to 4"], numbers_vary=False)
