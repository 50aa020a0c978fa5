"""Commands that inspect a model (``sites``, ``cost``, ``evaluate``, ``importance``, ``doctor``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli import arguments
from actlab.cli.app import FINDING, AsJson, example, print_json, print_rich, say
from actlab.cli.arguments import Arms, Import, choice, spec_option, time_option

__all__ = ["cost", "doctor", "evaluate", "importance", "sites"]

MEASURES = ("loss", "metric", "cross_entropy", "error", "squared_error")


@example("sites")
def sites(
    source: Annotated[
        str,
        arguments.source("A Python file that defines model and, to show what runs, example_inputs; or a task.", "FILE"),
    ],
    *,
    rounds: Annotated[int, typer.Option(help="Number of timed forward passes; 0 for no timing.")] = 5,
    target: Annotated[
        str | None,
        typer.Option(help="Show what this target cannot run: esp-dl, cmsis-nn, ethos-u and others.", metavar="TARGET"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the model and its data.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """List which activations of a model run where.

    A line has the site, the function that runs there, its calls, input shapes, and share of the time. With --target it has what that
    target cannot run as it is, and the table, replacement or morph that takes its place.
    """
    import actlab
    from actlab.report.terminal.model.sites import sites_data, sites_table
    from actlab.tasks.model_source import load_model

    if target is not None:
        _print_support(source, target, seed, as_json=as_json)
        return
    loaded = load_model(source, seed)
    timed = rounds if loaded.example_inputs is not None else 0
    found = actlab.find(loaded.model, loaded.example_inputs, rounds=timed)
    print_json(sites_data(found)) if as_json else print_rich(sites_table(loaded.name, found))


def _print_support(source: str, target: str, seed: int, *, as_json: bool) -> None:
    from actlab.export.support.judgement import support
    from actlab.export.support.target import target as checked
    from actlab.report.terminal.model.support import support_view
    from actlab.tasks.model_source import load_model

    checked(target)
    loaded = load_model(source, seed)
    found = support(loaded.model, target, loaded.example_inputs)
    print_json(found.to_dict()) if as_json else print_rich(support_view(found))


@example("cost")
def cost(
    source: Annotated[
        str,
        arguments.source("A Python file that defines model and example_inputs; or a task.", "FILE"),
    ],
    acts: Arms,
    *,
    seed: Annotated[int, typer.Option(help="Seed of the model and its data.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Measure what activations cost in a model, without training.

    A line has the time of a training step beside that of the model as it is, with its interval, the parameters, and the memory.
    """
    import actlab
    from actlab.report.terminal.bench import cost_table
    from actlab.report.terminal.plain_text import PrintableConsole

    with PrintableConsole(stderr=True).status("measuring"):
        measured = actlab.cost(source, acts, seed=seed)
    print_json(measured.to_dict()) if as_json else print_rich(cost_table(measured))


@example("evaluate")
def evaluate(
    source: Annotated[
        str,
        arguments.source("A task, or a Python file that defines a task or a trained model with data.", "TASK"),
    ],
    *,
    axes: Annotated[
        list[str] | None,
        typer.Option(
            help="Axes, such as calibration,robustness, or a Python file with your own; by default all. Repeatable.",
            metavar="AXES",
        ),
    ] = None,
    act: Annotated[
        str | None,
        spec_option(
            "Activation for the sites of the model's main function before training, or by site '*=gelu'.", arm=True
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of data, weights, order, and what axes draw.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Measure a trained model on axes beyond its metric.

    Axes are calibration, robustness and others. The model of a task is trained first.
    """
    import actlab
    from actlab.report.terminal.model.evaluation import evaluation_view

    found = actlab.evaluate(source, axes or "all", act=act, seed=seed)
    print_json(found.to_dict()) if as_json else print_rich(evaluation_view(found))


@example("importance")
def importance(
    source: Annotated[
        str,
        arguments.source("A task, or a Python file that defines a task or a trained model with data.", "TASK"),
    ],
    *,
    act: Annotated[
        str | None,
        spec_option(
            "Activation for the sites of the model's main function before training, or by site '*=gelu'.", arm=True
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of data, weights and order.")] = 0,
    samples: Annotated[int, typer.Option(help="Maximum number of samples for the fit, and for the evaluation.")] = 1000,
    measure: Annotated[str, typer.Option(help=f"{', '.join(MEASURES)}.", callback=choice(*MEASURES))] = "loss",
    tolerance: Annotated[
        float | None,
        typer.Option(help="Loss allowed for all linearised sites together; by default 5 % of the measure."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write a page.", metavar="FILE.html")] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Measure which activations of a trained model matter.

    It shows how much each one matters, which can be linearised, and learned shapes. The model of a task is trained first.
    """
    from actlab.diagnostics.appraise import appraise
    from actlab.report.terminal.model.importance import appraisal_table
    from actlab.report.terminal.plain_text import PrintableConsole

    settings: dict[str, Any] = {
        "act": act,
        "seed": seed,
        "samples": samples,
        "measure": measure,
        "tolerance": tolerance,
    }
    with PrintableConsole(stderr=True).status("loading") as status:
        appraisal = appraise(source, progress=status.update, **settings)
    print_json(appraisal.to_dict()) if as_json else print_rich(appraisal_table(appraisal))
    if out is not None:
        from actlab.report.html.importance import write

        say(f"Wrote {write(appraisal, out)}", err=as_json)


@example("doctor")
def doctor(
    source: Annotated[
        str,
        arguments.source("A task, or a Python file that defines a task, or only a model.", "TASK"),
    ],
    *,
    seeds: Annotated[int, typer.Option(help="Number of seeds on which every remedy is tried.")] = 6,
    steps: Annotated[int, typer.Option(help="Training steps that are recorded, and of every trial.")] = 200,
    seed: Annotated[int, typer.Option(help="First seed; the model is measured with it.")] = 0,
    budget: Annotated[
        str | None,
        typer.Option(help="Start no further trial after this time, such as 90s, 10m or 2h.", callback=time_option),
    ] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Find faults of a model and try remedies in paired trials.

    The exit code is 1 if there is a finding.
    """
    from actlab.diagnostics.doctor import Checkup
    from actlab.report.terminal.model.doctor import diagnosis_view
    from actlab.report.terminal.plain_text import PrintableConsole
    from actlab.report.terminal.progress import show_count

    with show_count(PrintableConsole(stderr=True), "trainings") as progress:
        checkup = Checkup(source, seeds=seeds, steps=steps, seed=seed, budget=budget, progress=progress)
        try:
            checkup.run()
        except KeyboardInterrupt:
            if not checkup.has_measured:
                raise KeyboardInterrupt("Stopped before anything was measured. Run it again:") from None
    diagnosis = checkup.diagnosis()
    print_json(diagnosis.to_dict()) if as_json else print_rich(diagnosis_view(diagnosis))
    if diagnosis.stopped:
        raise KeyboardInterrupt("Stopped. Finished trials are shown; to run all of them:")
    if not diagnosis.healthy:
        raise typer.Exit(FINDING)
