"""Commands on functions: list, rules, show, find, reference."""
# ruff: noqa: PLC0415 imports stand inside the commands, so that `actlab --help` waits for none of torch, SymPy and altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import AsJson, app, print_json, print_rich

__all__ = ["find", "list_activations", "list_rules", "reference", "show"]


@app.command("list")
def list_activations(
    kind: Annotated[str | None, typer.Option(help="Only this kind: elementwise, gated, vector or stochastic.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the activations: name, kind, formula, parameters, paper."""
    from actlab.report.terminal import activation as cards

    found = cards.entries(kind)
    print_json(found) if as_json else print_rich(cards.overview(found))


@app.command("rules")
def list_rules(as_json: AsJson = False) -> None:
    """List the gradient rules, for specs like step/rect: name, formula, parameters, what they keep, paper."""
    from actlab.report.content.rule import rule_entries
    from actlab.report.terminal.rule import rule_overview

    found = rule_entries()
    print_json(found) if as_json else print_rich(rule_overview(found))


@app.command()
def show(
    spec: Annotated[
        str, typer.Argument(help="An activation, like gelu, 'leaky_relu(0.02)' or step/rect.", metavar="ACT")
    ],
    as_json: AsJson = False,
) -> None:
    """Show one activation: formula, facts, gain and graph; with a gradient rule, what passes backward too."""
    from actlab.report.terminal import activation as cards

    data, card = cards.card(spec)
    print_json(data) if as_json else print_rich(card)


@app.command()
def find(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words in the name, description or paper.", metavar="[WORD]...")
    ] = None,
    *,
    kind: Annotated[str | None, typer.Option(help="elementwise, gated, vector or stochastic.")] = None,
    family: Annotated[str | None, typer.Option(help="A file of the catalogue, like exponential.")] = None,
    monotone: Annotated[bool | None, typer.Option("--monotone/--not-monotone", help="Never falls, or does.")] = None,
    lower: Annotated[float | None, typer.Option(help="Never below this.", metavar="X")] = None,
    upper: Annotated[float | None, typer.Option(help="Never above this.", metavar="X")] = None,
    bounded: Annotated[bool | None, typer.Option("--bounded/--unbounded", help="On both sides, or not.")] = None,
    smooth: Annotated[
        float | None, typer.Option(help="At least so many continuous derivatives; inf: smooth.", metavar="N")
    ] = None,
    zero: Annotated[bool | None, typer.Option("--zero/--not-zero", help="f(0) = 0, or not.")] = None,
    slope: Annotated[float | None, typer.Option(help="Slope at most this, up or down.", metavar="X")] = None,
    learned: Annotated[bool | None, typer.Option("--learned/--fixed", help="Parameters learned by default.")] = None,
    native: Annotated[bool | None, typer.Option("--native/--no-native", help="A fused kernel in torch.")] = None,
    like: Annotated[
        str | None, typer.Option(help="The most alike first, for inputs from N(0, 1).", metavar="ACT")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find activations by what was measured of them, at the defaults of their parameters."""
    from actlab.functions.analysis.query import query
    from actlab.report.terminal import activation as cards

    asked: dict[str, Any] = {
        "kind": kind,
        "family": family,
        "monotone": monotone,
        "lower": lower,
        "upper": upper,
        "bounded": bounded,
    }
    asked |= {"smooth": smooth, "zero": zero, "slope": slope, "learned": learned, "native": native, "like": like}
    data, table = cards.answer(query(" ".join(words or ()), **asked))
    print_json(data) if as_json else print_rich(table)


@app.command()
def reference(
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    names: Annotated[list[str] | None, typer.Argument(help="Only these; by default all.", metavar="[ACT]...")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the reference: a page for every activation and a gallery, as HTML that needs no network."""
    from rich.console import Console

    from actlab.report.html import function_reference as pages
    from actlab.report.terminal import progress

    with progress.counted(Console(stderr=True), "pages") as told:
        written = pages.write(out, names, progress=told)
    print_json({"pages": len(written), "index": str(written[0])}) if as_json else typer.echo(
        f"Wrote {len(written)} pages; begin with {written[0]}"
    )
