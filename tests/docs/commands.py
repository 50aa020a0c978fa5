"""Commands in the text and the blocks of Markdown pages, with what stands for a word of one's own replaced."""

from __future__ import annotations

import re
import shlex

from tests.docs.blocks import FENCE, SHELL

COMMAND = r"(?:\$ )?(?P<text>(?:actlab|scripts/\w+|(?:\.venv/bin/)?python\d? (?:benchmarks|scripts|tests)/\S+)\b"
INLINE = re.compile(
    rf"(?<!`)`{COMMAND}[^`\n]*)`"
)  # `actlab show gelu`, `scripts/test -m slow`, `python benchmarks/rules.py`
LINE = re.compile(rf"^\s*{COMMAND}.*)$", re.MULTILINE)
PLACEHOLDERS = {
    "TASK": "my_task.py", "MODEL": "my_model.py", "MODEL.py": "my_model.py", "model.py": "my_model.py", "NAME": "gelu", "ACT": "gelu",
    "SPEC": "gelu", "STUDY": "mine", "URL": "sqlite:///actlab.db", "FILE": "page.html", "FILE.html": "page.html", "FOLDER": "pages",
    "TABLE": "examples/published_tables/glu_65536_steps.csv",
}  # fmt: skip


def commands(page: str, *, of_blocks: bool = True) -> list[list[str]]:
    """Return the words of every command of a page without comments, in inline code and, if wanted, in blocks of a shell.

    Example:
        >>> commands("Type `actlab show NAME [--json]`.")
        [['actlab', 'show', 'gelu', '--json']]
    """
    shells = [found["text"] for found in FENCE.finditer(page) if found["language"] in SHELL | {""}]
    lines = [found["text"] for text in shells for found in LINE.finditer(text.replace("\\\n", " "))]
    inline = [found["text"] for found in INLINE.finditer(FENCE.sub("", page))]
    typed = [words for text in [*(lines if of_blocks else ()), *inline] for words in split(text)]
    return [words for position, words in enumerate(typed) if words not in typed[:position]]


def split(text: str) -> list[list[str]]:
    """Return the words of the commands of a line; optional words are kept, and those that go on ("...") left out."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError:  # no command, but words in between two of them
        return []
    found: list[list[str]] = [[]]
    for word in words:
        if word in {"&&", ";", "|", ">", "2>"}:
            found.append([])
            continue
        plain = word.strip("[]")
        if plain and plain not in {"...", "…"}:
            found[-1].append(PLACEHOLDERS.get(plain, plain))
    return [line for line in found if line and re.match(r"actlab$|scripts/|(\.venv/bin/)?python", line[0])]
