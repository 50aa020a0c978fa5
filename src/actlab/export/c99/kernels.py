"""Kernels of layers in C99, cut out of one C file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

__all__ = ["kernel_source"]

FILE = Path(__file__).with_name("kernels.c")
DEFINED = re.compile(r"^(?:static \w+ |struct )(\w+)", re.MULTILINE)
NAME = re.compile(r"\b(?:f32_)?\w+\b")


def kernel_source(names: Iterable[str]) -> tuple[str, frozenset[str]]:
    """Return the text of kernels and of what they use in turn, and the names of the elementary functions that they call.

    Args:
        names: of kernels, such as "dense".

    Example:
        >>> text, functions = kernel_source(["softmax"])
        >>> text.splitlines()[1].partition("(")[0], sorted(functions)
        ('static void softmax', ['f32_exp', 'f32_log'])
    """
    paragraphs = _paragraphs()
    wanted, pending = set[str](), list(names)
    while pending:
        name = pending.pop()
        if name not in wanted:
            wanted.add(name)
            pending += [each for each in set(NAME.findall(_code(paragraphs[name]))) & set(paragraphs) if each != name]
    text = "\n\n".join(paragraph for name, paragraph in paragraphs.items() if name in wanted)
    return text, frozenset(name for name in NAME.findall(text) if name.startswith("f32_"))


def _code(paragraph: str) -> str:
    """Return a paragraph without its comments."""
    return re.sub(r"/\*.*?\*/", "", paragraph, flags=re.DOTALL)


@cache
def _paragraphs() -> Mapping[str, str]:
    found = {}
    for paragraph in FILE.read_text(encoding="utf-8").strip().split("\n\n"):
        match = DEFINED.search(paragraph)
        assert match is not None  # noqa: S101 # each defines one
        found[match[1]] = paragraph
    return found
