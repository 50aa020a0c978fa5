"""Commands on a model: sites, importance, doctor."""
# ruff: noqa: PLC0415 imports stand inside the commands, so that `actlab --help` waits for none of torch, SymPy and altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import FINDING, AsJson, app, print_json, print_rich

__all__ = ["doctor", "importance", "sites"]


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
    from actlab.report.terminal import sites as inventory
    from actlab.tasks.model_source import load_model

    asked = load_model(source, seed)
    timed = rounds if asked.example_inputs is not None else 0
    found = actlab.find(asked.model, asked.example_inputs, rounds=timed)
    if as_json:
        print_json(inventory.as_data(found))
        return
    for shown in inventory.sites_table(asked.name, found):
        print_rich(shown)


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

    from actlab.diagnostics.appraise import appraise
    from actlab.report.terminal import importance as importances

    settings: dict[str, Any] = {
        "act": act,
        "seed": seed,
        "samples": samples,
        "measure": measure,
        "tolerance": tolerance,
    }
    with Console(stderr=True).status("reading") as status:
        found = appraise(source, progress=status.update, **settings)
    print_json(found.to_dict()) if as_json else print_rich(importances.appraisal_table(found))
    if out is not None:
        from actlab.report.html import importance as importance_page

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

    from actlab.diagnostics.doctor import Checkup
    from actlab.report.terminal import doctor as diagnoses
    from actlab.report.terminal import progress

    with progress.counted(Console(stderr=True), "trainings") as told:
        checkup = Checkup(source, seeds=seeds, steps=steps, seed=seed, budget=budget, progress=told)
        try:
            checkup.run()
        except KeyboardInterrupt:
            if not checkup.has_measured:
                raise KeyboardInterrupt("Stopped before anything was measured. Run it again:") from None
    found = checkup.diagnosis()
    print_json(found.to_dict()) if as_json else print_rich(diagnoses.diagnosis_view(found))
    if found.stopped:
        raise KeyboardInterrupt("Stopped. What had finished is shown; the same command does the rest:")
    if not found.healthy:
        raise typer.Exit(FINDING)
