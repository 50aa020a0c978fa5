"""Commands that look up functions (``list``, ``rules``, ``show``, ``find``, ``reference``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import AsJson, example, print_json, print_rich, say
from actlab.cli.arguments import Import, Spec, choice, some_specs, spec_option
from actlab.system.plural import plural

__all__ = ["find", "list_activations", "list_rules", "reference", "show"]


KINDS = ("elementwise", "gated", "vector", "stochastic", "complex")


@example("list")
def list_activations(
    kind: Annotated[
        str | None, typer.Option(help=f"Only this kind: {', '.join(KINDS)}.", callback=choice(*KINDS))
    ] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """List activations with kind, formula, parameters and paper."""
    from actlab.report.content.activation import entries
    from actlab.report.terminal.activation import activation_table

    activations = entries(kind)
    print_json(activations) if as_json else print_rich(activation_table(activations))


@example("rules")
def list_rules(imports: Import = None, as_json: AsJson = False) -> None:  # noqa: ARG001 # done by its callback
    """List gradient rules with formula, parameters and paper.

    A rule stands behind the slash in a spec such as step/rect.
    """
    from actlab.report.content.rule import rule_entries
    from actlab.report.terminal.rule import rule_table

    rules = rule_entries()
    print_json(rules) if as_json else print_rich(rule_table(rules))


@example("show")
def show(
    spec: Spec,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Show one activation: formula, properties, cost and graph.

    A spec such as step/rect also shows its gradient rule.
    """
    from actlab.report.terminal.activation import activation_view

    data, view = activation_view(spec)
    print_json(data) if as_json else print_rich(view)


@example("find")
def find(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words in the name, description or paper.", metavar="[WORD]...")
    ] = None,
    *,
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(KINDS)}.", callback=choice(*KINDS))] = None,
    family: Annotated[str | None, typer.Option(help="Family, such as exponential.")] = None,
    monotone: Annotated[
        bool | None, typer.Option("--monotone/--not-monotone", help="Nondecreasing everywhere, or not.")
    ] = None,
    lower: Annotated[float | None, typer.Option(help="Values never below X.", metavar="X")] = None,
    upper: Annotated[float | None, typer.Option(help="Values never above X.", metavar="X")] = None,
    bounded: Annotated[
        bool | None, typer.Option("--bounded/--unbounded", help="Bounded on both sides, or not.")
    ] = None,
    smooth: Annotated[
        float | None, typer.Option(help="At least N continuous derivatives; inf for all.", metavar="N")
    ] = None,
    zero: Annotated[bool | None, typer.Option("--zero/--not-zero", help="f(0) = 0, or not.")] = None,
    slope: Annotated[float | None, typer.Option(help="Absolute slope at most X.", metavar="X")] = None,
    learned: Annotated[
        bool | None, typer.Option("--learned/--fixed", help="Parameters learned by default, or not.")
    ] = None,
    native: Annotated[
        bool | None, typer.Option("--native/--no-native", help="With a fused kernel in torch, or without.")
    ] = None,
    like: Annotated[str | None, spec_option("Sort by distance to this activation, for inputs from N(0, 1).")] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Find activations by their measured properties.

    Properties are those at the default parameters.
    """
    from actlab.functions.analysis.query import query
    from actlab.report.terminal.activation import query_view

    conditions: dict[str, Any] = {
        "kind": kind,
        "family": family,
        "monotone": monotone,
        "lower": lower,
        "upper": upper,
        "bounded": bounded,
    }
    conditions |= {"smooth": smooth, "zero": zero, "slope": slope, "learned": learned, "native": native, "like": like}
    data, view = query_view(query(" ".join(words or ()), **conditions))
    print_json(data) if as_json else print_rich(view)


@example("reference")
def reference(
    out: Annotated[Path, typer.Option(help="Folder for the pages.", metavar="DIR")],
    names: Annotated[list[str] | None, some_specs("all")] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Write the reference as HTML: a gallery, a page per activation.

    The pages are for use offline.
    """
    from actlab.report.html.function_reference import write
    from actlab.report.terminal.plain_text import PrintableConsole
    from actlab.report.terminal.progress import show_count

    with show_count(PrintableConsole(stderr=True), "pages") as progress:
        written = write(out, names, progress=progress)
    print_json({"pages": len(written), "index": str(written[0])}) if as_json else say(
        f"Wrote {plural(len(written), 'page')}. Open {written[0]}"
    )
