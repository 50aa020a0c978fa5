"""Markdown that the documentation site takes from the code.

A page asks for it with a comment such as ``<!-- generated: commands -->``: the commands of the command line, the spec grammar, the
tables of activations and gradient rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from inspect import cleandoc
from urllib.parse import quote

import typer

from actlab.claims import claim_cards
from actlab.cli import app
from actlab.functions import activation, rule, spec
from actlab.functions.activation import get
from actlab.functions.parameter import DOMAINS
from actlab.report.content.claims import total_words
from actlab.testing import AXIS_CHECKS, CHECKS, RULE_CHECKS

__all__ = ["GENERATED", "fill"]

MARKER = re.compile(r"<!-- generated: (\w+) -->")


def fill(text: str) -> str:
    """Return a page with the generated Markdown in the places of its comments."""
    return MARKER.sub(lambda found: GENERATED[found[1]](), text)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = [list(head), ["---"] * len(list(head)), *(list(row) for row in rows)]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in line) + " |" for line in lines
    )


def commands() -> str:
    """Return a section for each command: usage, help text, arguments and options, as ``actlab COMMAND --help`` prints them."""
    return "\n\n".join(_command(name, found) for name, found in _commands(typer.main.get_command(app)))


def _commands(group: typer.core.TyperGroup, before: str = "") -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Return the commands with their names as typed, those of a group in its place."""
    for name, found in group.commands.items():
        inner = isinstance(found, typer.core.TyperGroup)
        yield from _commands(found, f"{before}{name} ") if inner else [(f"{before}{name}", found)]


def _command(name: str, found: typer.core.TyperCommand) -> str:
    context = typer.Context(found, info_name=f"actlab {name}")
    usage = " ".join(found.get_usage(context).removeprefix("Usage:").split())
    records = [found_record for parameter in found.params if (found_record := parameter.get_help_record(context))]
    parts = [f"## actlab {name}", cleandoc(found.help or ""), f"```sh\n{usage}\n```"]
    if records:
        parts.append(table(("argument or option", "meaning"), ((f"`{left}`", _text(right)) for left, right in records)))
    return "\n\n".join(parts)


def _text(words: str) -> str:
    """Return plain text as Markdown in which nothing is markup."""
    pieces = re.split(r"``(.+?)``", " ".join(words.split()))  # code in reStructuredText, as docstrings write it
    return "".join(
        f"`{piece}`" if i % 2 else re.sub(r"([\\`*_<>\[\]])", r"\\\1", piece) for i, piece in enumerate(pieces)
    )


def grammar_examples() -> str:
    """Return the examples of every form of a spec, from the docstring of the module that defines it."""
    text = cleandoc(spec.__doc__ or "")
    block = text.split("::\n", 1)[1]
    lines = [line for line in block.splitlines() if not line or line.startswith("    ")]
    return "```text\n" + cleandoc("\n".join(lines).strip("\n")) + "\n```"


def domains() -> str:
    """Return the table of what a parameter may be, by the name of its domain."""
    return table(("domain", "allowed"), ((name, allowed) for name, (allowed, _) in DOMAINS.items()))


def catalogue() -> str:
    """Return a table of the activations of each kind, with links to the pages of the gallery."""
    parts = []
    for kind in activation.KINDS:
        rows = [(_gallery_link(name), _signature(name), _source(get(name).source)) for name in activation.names(kind)]
        parts.append(f"## {kind.capitalize()} ({len(rows)})\n\n{table(('name', 'parameters', 'source'), rows)}")
    return "\n\n".join(parts)


def _gallery_link(name: str) -> str:
    page = quote(name, safe="").replace("%", "-") + ".html"
    return f'<a href="../gallery/{page}">{name}</a>'


def _signature(name: str) -> str:
    shown = (f"{p.name}={'learned' if p.learned else f'{p.default:g}'}" for p in get(name).parameters)
    return ", ".join(f"`{parameter}`" for parameter in shown)


def _source(source: str) -> str:
    return _text(source)


def claims_table() -> str:
    """Return a table of the claims that ship, with outcome, sentence and source."""
    cards = claim_cards()
    rows = (
        (f"`{card.claim.name}`", _text(card.text), _text(card.claim.sentence), _text(card.claim.source.text))
        for card in cards
    )
    return f"{table(('claim', 'outcome', 'sentence', 'source'), rows)}\n\n{_text(total_words(cards))}"


def rules_table() -> str:
    """Return the table of gradient rules: name, parameters, first sentence."""
    records = (rule.get_rule(name) for name in rule.rules())
    return table(
        ("rule", "parameters", "meaning"),
        (
            (f"`{r.name}`", ", ".join(f"`{p.name}={p.default:g}`" for p in r.parameters), _text(r.doc.split("\n\n")[0]))
            for r in records
        ),
    )


def activation_checks() -> str:
    """Return the table of the checks of an activation."""
    return _checks(CHECKS)


def rule_checks() -> str:
    """Return the table of the checks of a gradient rule."""
    return _checks(RULE_CHECKS)


def axis_checks() -> str:
    """Return the table of the checks of an axis."""
    return _checks(AXIS_CHECKS)


def _checks(checks: Iterable[Callable[..., None]]) -> str:
    rows = ((f"`{check.__name__}`", _text((check.__doc__ or "").split("\n\n")[0])) for check in checks)
    return table(("check", "holds if"), rows)


GENERATED: dict[str, Callable[[], str]] = {
    "commands": commands,
    "grammar": grammar_examples,
    "domains": domains,
    "catalogue": catalogue,
    "rules": rules_table,
    "claims": claims_table,
    "activation_checks": activation_checks,
    "rule_checks": rule_checks,
    "axis_checks": axis_checks,
}
