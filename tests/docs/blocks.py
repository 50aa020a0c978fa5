"""Code blocks of a Markdown page, and running them in order in one namespace.

A comment right above a block says how it is run:

    <!-- not run: needs a GPU -->            it is not, for the reason given
    <!-- file: my_task.py -->                it is a file, and is written to the folder
    <!-- with: seeds=16 => seeds=2 -->       the text is run with the replacement
    <!-- run instead: actlab list -->        another command is run, as the block's own take too long
    <!-- before: model = net -->             Python that is run before the block
    <!-- exits: 1 -->                        the command ends with this code
    <!-- numbers vary -->                    above an output: numbers in it are not compared (times, trained figures)

A fence with the language ``text`` right after a block is what the block prints. So are comment lines right after a ``print`` that
ends its block or stands before an empty line. Of shell blocks the lines that begin with ``actlab`` are run, up to a pipe, with the
variables that the block exports.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = {"sh", "bash", "shell", "console"}
FENCE = re.compile(
    r"(?P<marks>(?:^<!--[^\n]*-->\n+)*)^(?P<fence>`{3,})(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
INDENTED = re.compile(
    r"(?P<marks>(?:^<!--[^\n]*-->\n+)*)(?:(?<=\n\n)|\A|(?<=-->\n))(?P<text>(?:^ {4}[^\n]*\n?)+)", re.MULTILINE
)
MARK = re.compile(r"<!-- (?P<key>not run|run instead|before|file|with|exits|numbers vary)(?:: (?P<value>.*?))? -->")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of a page that is run, written as a file, or left out for a reason."""

    line: int
    language: str
    text: str
    file: str | None = None
    skipped: str | None = None
    exits: int = 0
    output: str | None = None
    numbers_vary: bool = False

    @property
    def commands(self) -> list[list[str]]:
        """The words of every ``actlab`` command of a shell block."""
        joined = self.text.replace("\\\n", " ")
        lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
        typed = [shlex.split(line, comments=True)[1:] for line in lines if re.match(r"actlab\b", line)]
        return [list(takewhile(lambda word: word not in {"|", ">"}, words)) for words in typed]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the block exports."""
        return dict(re.findall(r"^(?:\$ )?export (\w+)=(\S+)$", self.text, re.MULTILINE))

    @property
    def step(self) -> dict:
        """The block as the process that runs pages takes it."""
        if self.file is not None:
            return {"file": self.file, "text": self.text}
        return (
            {"line": self.line, "text": self.text}
            if self.language == "python"
            else {"commands": self.commands, "environment": self.environment}
        )

    def agrees_with(self, printed: str) -> bool:
        """Return whether the block printed what the page shows: all of the output below it, and the comments below its prints."""
        lines = iter(printed.splitlines())
        comments = comments_after_prints(self.text) if self.language == "python" else []
        return all(comment in lines for comment in comments) and (
            self.output is None or same(printed, self.output.splitlines(), numbers_vary=self.numbers_vary)
        )


@dataclass(kw_only=True)
class Result:
    """What running a block printed, and the error or exit code with which it ended."""

    printed: str
    error: str | None = None
    exits: list[int] = field(default_factory=list)


def comments_after_prints(code: str) -> list[str]:
    """Return the comment lines that stand right below a line that prints and end the paragraph."""
    found = re.findall(r"^print\(.*\)\n((?:^# .*\n)+)(?=\n|\Z|assert |print\()", code, re.MULTILINE)
    return [line.removeprefix("# ") for group in found for line in group.splitlines()]


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page's text that are Python, or shell with a command of ours, in order."""
    fences = list(FENCE.finditer(page))
    indented = list(INDENTED.finditer(re.sub(FENCE, lambda found: re.sub(r"[^\n]", "x", found[0]), page)))
    pieces = sorted([*fences, *indented], key=lambda found: found.start())
    made: list[Block] = []
    end = 0  # of the piece before
    for piece in pieces:
        fenced = "language" in piece.groupdict()
        language = piece["language"] if fenced else "sh"
        text = page[piece.start("text") : piece.end("text")]
        text = text if fenced else re.sub(r"^ {4}", "", text, flags=re.MULTILINE)
        marks = dict(MARK.findall(piece["marks"]))
        if language == "text" and made and not page[end : piece.start("fence")].replace(piece["marks"], "").strip():
            made[-1] = Block(**{**vars(made[-1]), "output": text, "numbers_vary": "numbers vary" in marks})
        elif language == "python" or (language in SHELL | {""} and re.search(r"^(\$ )?actlab\b", text, re.MULTILINE)):
            for old, new in (found[1].split(" => ") for found in MARK.findall(piece["marks"]) if found[0] == "with"):
                assert old in text, f"{old!r} is not in the block that it is replaced in"
                text = text.replace(old, new)
            text = marks.get("run instead", text)
            text = f"{marks['before']}\n{text}" if "before" in marks else text
            made.append(
                Block(
                    line=page.count("\n", 0, piece.start("text")),
                    language="python" if language == "python" else "sh",
                    text=text,
                    file=marks.get("file"),
                    skipped=marks.get("not run"),
                    exits=int(marks.get("exits", 0)),
                )
            )
        end = piece.end()
    return made


class Runner:
    """Runs pages; a process that has loaded torch and ActLab forks for each."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("run_page.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"COLUMNS": "88", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __call__(self, page: list[Block], folder: Path) -> list[Result]:
        """Run the blocks in the folder, in one namespace, and return what each printed; after one that raises none is run."""
        shutil.copytree(Path(__file__).with_name("files"), folder, dirs_exist_ok=True)
        shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
        shutil.copy(ROOT / "examples" / "my_task.py", folder)
        request = {"folder": str(folder), "steps": [block.step for block in page]}
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "0\n", "the process that ran the page ended"
        return [Result(**result) for result in json.loads((folder / "results.json").read_text(encoding="utf-8"))]

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()


def same(printed: str, expected: list[str], *, numbers_vary: bool) -> bool:
    """Compare line by line but for white space; ``...`` stands for anything, and numbers may differ if they vary."""

    def plain(text: str) -> str:
        text = re.sub(r"[+\u2212-]?\d[\d.,]*k?", "#", text) if numbers_vary else text
        return " ".join(text.split())

    pattern = ".*".join(re.escape(piece.strip()) for piece in plain(" ".join(expected)).split("..."))
    return re.fullmatch(pattern.replace(r"\ .*", ".*").replace(r".*\ ", ".*"), plain(printed), re.DOTALL) is not None
