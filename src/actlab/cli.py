"""The command line: each command parses, calls one public function and renders what it returns.

Exit codes: 0 fine; 1 a finding (a study in which no arm could be trained); 2 a usage or input error, told in one message on
stderr, or with ``--json`` as ``{"error": {...}}`` on stdout; 130 stopped with Ctrl-C. A mistake of ActLab itself is told in
one line and gives 2 as well, because 1 must stay a finding; ``ACTLAB_DEBUG=1`` shows its traceback.
"""
# ruff: noqa: PLC0415 imports stand inside the commands, so that `actlab --help` waits for none of torch, SymPy and altair

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from actlab.errors import ActlabError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["app", "main"]

FINDING, WRONG, STOPPED = 1, 2, 130
UsageError: type[Exception] = typer.BadParameter.__bases__[0]  # its home differs between versions of typer


class Commands(TyperGroup):
    """The commands, and the one place where an error becomes a message and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words as they were typed, for messages that repeat them."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn what the user can put right into a message."""
        as_json = "--json" in ctx.obj
        try:
            return super().invoke(ctx)
        except ActlabError as error:
            _tell(error, str(error), as_json=as_json)
        except UsageError as error:
            if not as_json:
                raise
            _tell(error, getattr(error, "format_message", error.__str__)(), as_json=True)
        except KeyboardInterrupt as stopped:
            kept = str(stopped) or "Stopped. What had finished is kept: the same command goes on from here."
            typer.echo(f"{kept}\n  {_command(*ctx.obj)}", err=True)
            raise typer.Exit(STOPPED) from None
        raise typer.Exit(WRONG)


app = typer.Typer(
    cls=Commands,
    help="Which activation function should my model use, what will it cost, and how sure are we?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
Store = Annotated[str, typer.Option(help="URL of the store, like sqlite:///actlab.db.", metavar="URL")]


def _tell(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        near = getattr(error, "near", None)
        _print_json({"error": {"type": type(error).__name__, "message": message, **({"near": near} if near else {})}})
    else:
        typer.echo(f"actlab: {message}", err=True)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def _print(shown: RenderableType) -> None:
    from rich.console import Console

    Console().print(shown)


def _version(asked: bool) -> None:
    if asked:
        from actlab import __version__

        typer.echo(f"actlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Which activation function should my model use, what will it cost, and how sure are we?"""


@app.command("list")
def list_activations(
    kind: Annotated[str | None, typer.Option(help="Only this kind: elementwise, gated, vector or stochastic.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the activations: name, kind, formula, parameters, paper."""
    from actlab.report import cards

    found = cards.entries(kind)
    _print_json(found) if as_json else _print(cards.overview(found))


@app.command("rules")
def list_rules(as_json: AsJson = False) -> None:
    """List the gradient rules, for specs like step/rect: name, formula, parameters, what they keep, paper."""
    from actlab.report import rule_cards

    found = rule_cards.rule_entries()
    _print_json(found) if as_json else _print(rule_cards.rule_overview(found))


@app.command()
def show(
    spec: Annotated[
        str, typer.Argument(help="An activation, like gelu, 'leaky_relu(0.02)' or step/rect.", metavar="ACT")
    ],
    as_json: AsJson = False,
) -> None:
    """Show one activation: formula, facts, gain and graph; with a gradient rule, what passes backward too."""
    from actlab.report import cards

    data, card = cards.card(spec)
    _print_json(data) if as_json else _print(card)


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
    from actlab.functions.query import query
    from actlab.report import cards

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
    _print_json(data) if as_json else _print(table)


@app.command()
def sites(
    source: Annotated[
        str,
        typer.Argument(
            help="A Python file that defines model, and example_inputs if it can; or a task.", metavar="FILE"
        ),
    ],
    *,
    rounds: Annotated[int, typer.Option(help="Timed forward passes; 0: do not time.")] = 5,
    seed: Annotated[int, typer.Option(help="What model and data are made with.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the activations of a model: which function really runs where, how often, on what, and its share of the time."""
    import actlab
    from actlab.report import inventory
    from actlab.tasks.subject import subject

    asked = subject(source, seed)
    timed = rounds if asked.example_inputs is not None else 0
    found = actlab.find(asked.model, asked.example_inputs, rounds=timed)
    if as_json:
        _print_json(inventory.as_data(found))
        return
    for shown in inventory.sites_table(asked.name, found):
        _print(shown)


@app.command()
def importance(
    source: Annotated[
        str,
        typer.Argument(help="A task, or a Python file: a task, or a trained model with data.", metavar="TASK"),
    ],
    *,
    act: Annotated[
        str | None, typer.Option(help="Put this activation into the task's model before it is trained.", metavar="ACT")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of data, weights and order.")] = 0,
    samples: Annotated[int, typer.Option(help="At most so many for the fit, and for the judgement.")] = 1000,
    measure: Annotated[str, typer.Option(help="loss, metric, cross_entropy, error or squared_error.")] = "loss",
    tolerance: Annotated[
        float | None, typer.Option(help="What several lines may cost together; by default 5 % of the measure.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a page too.", metavar="FILE.html")] = None,
    as_json: AsJson = False,
) -> None:
    """Train a task's model and measure which of its activations matter, which could be lines, and what adaptive ones learned."""
    from rich.console import Console

    from actlab.report import importances
    from actlab.studies.appraisal import appraise

    settings: dict[str, Any] = {
        "act": act,
        "seed": seed,
        "samples": samples,
        "measure": measure,
        "tolerance": tolerance,
    }
    with Console(stderr=True).status("reading") as status:
        found = appraise(source, progress=status.update, **settings)
    _print_json(found.to_dict()) if as_json else _print(importances.appraisal_table(found))
    if out is not None:
        from actlab.report import importance_page

        typer.echo(f"Wrote {importance_page.write(found, out)}", err=as_json)


@app.command()
def doctor(
    source: Annotated[
        str,
        typer.Argument(
            help="A task, or a Python file that defines one; or one that defines model only.", metavar="TASK"
        ),
    ],
    *,
    seeds: Annotated[int, typer.Option(help="How many seeds every prescription is tried on.")] = 6,
    steps: Annotated[int, typer.Option(help="Steps of training that are watched, and of every trial.")] = 200,
    seed: Annotated[int, typer.Option(help="The first seed; the model is measured with it.")] = 0,
    budget: Annotated[str | None, typer.Option(help="Begin no trial after this time, like 90s, 10m, 2h.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with a model and where, and what a short paired trial has shown to help; 1 if there is a finding."""
    from rich.console import Console

    from actlab.report import diagnoses, progress
    from actlab.studies.checkup import Checkup

    with progress.counted(Console(stderr=True), "trainings") as told:
        checkup = Checkup(source, seeds=seeds, steps=steps, seed=seed, budget=budget, progress=told)
        try:
            checkup.run()
        except KeyboardInterrupt:
            if not checkup.has_measured:
                raise KeyboardInterrupt("Stopped before anything was measured. Run it again:") from None
    found = checkup.diagnosis()
    _print_json(found.to_dict()) if as_json else _print(diagnoses.diagnosis_view(found))
    if found.stopped:
        raise KeyboardInterrupt("Stopped. What had finished is shown; the same command does the rest:")
    if not found.healthy:
        raise typer.Exit(FINDING)


@app.command()
def reference(
    out: Annotated[Path, typer.Option(help="The folder to write.", metavar="DIR")],
    names: Annotated[list[str] | None, typer.Argument(help="Only these; by default all.", metavar="[ACT]...")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the reference: a page for every activation and a gallery, as HTML that needs no network."""
    from rich.console import Console

    from actlab.report import progress
    from actlab.report import reference as pages

    with progress.counted(Console(stderr=True), "pages") as told:
        written = pages.write(out, names, progress=told)
    _print_json({"pages": len(written), "index": str(written[0])}) if as_json else typer.echo(
        f"Wrote {len(written)} pages; begin with {written[0]}"
    )


@app.command()
def compare(
    *,
    task: Annotated[
        str, typer.Argument(help="Name of a task (digits, mnist1d, fashion-mnist) or a Python file.", metavar="TASK")
    ],
    acts: Annotated[
        list[str], typer.Argument(help="Activations, like relu gelu 'swish(beta=learned)'.", metavar="ACT")
    ],
    seeds: Annotated[int, typer.Option(help="How many seeds every arm gets; 6 is the least for a verdict.")] = 10,
    budget: Annotated[str | None, typer.Option(help="Stop starting trials after this time, like 90s, 10m, 2h.")] = None,
    jobs: Annotated[int | None, typer.Option(help="Worker processes; by default one per core.")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="What the others are held against; by default the first.", metavar="ACT")
    ] = None,
    init: Annotated[str, typer.Option(help="fixed: the model's own; matched: gain per function.")] = "fixed",
    tune: Annotated[str | None, typer.Option(help="lr: tune the learning rate, the same budget for every arm.")] = None,
    store: Annotated[
        str | None, typer.Option(help="URL of the store; by default a SQLite file in this folder.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study; by default made from the plan.")] = None,
    rope: Annotated[
        float | None, typer.Option(help="Differences up to this, in the metric's units, count as none.")
    ] = None,
    alpha: Annotated[float, typer.Option(help="Error rate of the whole study.")] = 0.05,
    as_json: AsJson = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and train nothing.")] = False,
) -> None:
    """Find the best activations for a task, and what they cost."""
    from rich.console import Console

    import actlab
    from actlab.report import progress, tables
    from actlab.studies.study import draft

    settings: dict[str, Any] = {
        "seeds": seeds,
        "budget": budget,
        "jobs": jobs,
        "baseline": baseline,
        "init": init,
        "tune": tune,
    }
    settings |= {"name": name, "rope": rope, "alpha": alpha}
    if dry_run:
        planned = draft(task, acts, **settings)
        _print_json(planned.to_dict()) if as_json else _print(tables.plan_table(planned))
        return
    with progress.shown(Console(stderr=True), task) as report:
        study = actlab.compare(task, acts, store=store, progress=report, **settings)
    verdict = study.verdict()
    if as_json:
        _print_json(verdict.to_dict())
    else:
        _print(tables.verdict_table(verdict))
        typer.echo(
            f"\nPage:       {_command('report', verdict.study, '--store', verdict.store, '--out', 'report.html')}"
        )
        typer.echo("Resume:     the same command; with a larger --seeds it adds to what is there")
    if not any(arm.n for arm in verdict.arms):
        raise typer.Exit(FINDING)


def _command(*words: str) -> str:
    return shlex.join(["actlab", *words])


@app.command()
def studies(store: Store, as_json: AsJson = False) -> None:
    """List the studies in a store."""
    import actlab
    from actlab.report import tables

    found = actlab.list_studies(store)
    _print_json(found) if as_json else _print(tables.studies_table(found))


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="Name of the study.", metavar="STUDY")],
    store: Store,
    out: Annotated[Path, typer.Option(help="The HTML file to write.", metavar="FILE.html")],
    as_json: AsJson = False,
) -> None:
    """Write the page of a study: one HTML file that needs no network."""
    import actlab

    written = actlab.load_study(store, study).report(out)
    _print_json({"study": study, "store": store, "page": str(written)}) if as_json else typer.echo(f"Wrote {written}")


@app.command()
def bench(
    specs: Annotated[
        list[str] | None, typer.Argument(help="Activations; by default eleven well-known ones.", metavar="[SPEC]...")
    ] = None,
    *,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32, float64, bfloat16 or float16.")] = "float32",
    size: Annotated[str, typer.Option(help="Elements of an output, like 64k or 16M.")] = "16M",
    against: Annotated[
        list[str] | None, typer.Option(help="Also time: formula (torch operations) or compile (torch.compile).")
    ] = None,
    rounds: Annotated[int, typer.Option(help="How often each is timed.")] = 9,
    threads: Annotated[
        int, typer.Option(help="Threads of torch; one is timed in CPU time, which neighbours disturb least.")
    ] = 1,
    as_shipped: Annotated[bool, typer.Option("--as-shipped", help="Leave the memory allocator as it is.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a drawing.", metavar="FILE.svg")] = None,
    as_json: AsJson = False,
) -> None:
    """Time activations side by side: our kernels, torch's own, and the speed of memory."""
    import torch
    from rich.console import Console

    from actlab.report import speeds
    from actlab.studies.bench import DEFAULT
    from actlab.studies.bench import bench as measure

    torch.set_num_threads(threads)
    contenders = list(dict.fromkeys(["actlab", "torch", *(against or [])]))
    settings: dict[str, Any] = {
        "device": device,
        "dtype": dtype,
        "size": size,
        "rounds": rounds,
        "as_shipped": as_shipped,
    }
    with Console(stderr=True).status("warming up") as status:
        found = measure(specs or DEFAULT, contenders=contenders, progress=status.update, **settings)
    _print_json(found.to_dict()) if as_json else _print(speeds.speed_table(found))
    if plot is not None:
        typer.echo(f"Wrote {speeds.write_speed_plot(found, plot)}", err=as_json)


def main() -> None:
    """Run the command line of this process."""
    try:
        app(prog_name="actlab")
    except Exception as error:  # a mistake of ActLab: one line for the user, the traceback for who wants to mend it
        if os.environ.get("ACTLAB_DEBUG") == "1":
            raise
        typer.echo(
            f"actlab: this is a mistake in ActLab, not yours: {type(error).__name__}: {error}\n"
            "Run it again with ACTLAB_DEBUG=1 for the traceback, and report it with the command.",
            err=True,
        )
        sys.exit(WRONG)
