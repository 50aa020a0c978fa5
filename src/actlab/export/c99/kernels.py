"""Kernels of layers in C99, cut out of C files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

__all__ = ["kernel_source"]

FILE = Path(__file__).with_name("kernels.c")
DEFINED = re.compile(r"^(?:static \w+ |struct |#define |typedef [^\n]* )(\w+)", re.MULTILINE)
NAME = re.compile(r"\b(?:f32_)?\w+\b")


def kernel_source(names: Iterable[str], files: tuple[Path, ...] = (FILE,)) -> tuple[str, frozenset[str]]:
    """Return the text of kernels and of what they use in turn, and the names of the elementary functions that they call.

    Args:
        names: of kernels, such as "dense".
        files: with the kernels, in paragraphs without empty lines, each behind those that it uses.

    Example:
        >>> text, functions = kernel_source(["softmax"])
        >>> text.splitlines()[1].partition("(")[0], sorted(functions)
        ('static void softmax', ['f32_exp', 'f32_log'])
    """
    paragraphs = _paragraphs(files)
    by_name = {name: paragraph for paragraph in paragraphs for name in DEFINED.findall(paragraph)}
    wanted, pending = set[str](), [by_name[name] for name in names]
    while pending:
        paragraph = pending.pop()
        if paragraph not in wanted:
            wanted.add(paragraph)
            pending += [by_name[each] for each in set(NAME.findall(_code(paragraph))) & set(by_name)]
    text = "\n\n".join(paragraph for paragraph in paragraphs if paragraph in wanted)
    return text, frozenset(name for name in NAME.findall(text) if name.startswith("f32_"))


def _code(paragraph: str) -> str:
    """Return a paragraph without its comments."""
    return re.sub(r"/\*.*?\*/", "", paragraph, flags=re.DOTALL)


@cache
def _paragraphs(files: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(part for file in files for part in file.read_text(encoding="utf-8").strip().split("\n\n"))
