"""Options of the ``compare`` command."""

from __future__ import annotations

from typing import Annotated

import typer

from actlab.cli.arguments import choice, spec_option

__all__ = [
    "HEADINGS",
    "Alpha",
    "Baseline",
    "Device",
    "Direction",
    "DryRun",
    "Evaluate",
    "Init",
    "Jobs",
    "JobsPerDevice",
    "Metric",
    "Name",
    "Rate",
    "Rope",
    "Script",
    "Seeds",
    "Sites",
    "Stack",
    "Target",
    "Threads",
    "Tune",
]

_BY_HEADING = {
    "What is compared": "seeds baseline sites init tune target rope alpha evaluate imports",
    "A script in the place of TASK": "script metric direction lr",
    "How trials run": "jobs device jobs_per_device threads stack budget trial_limit checkpoint_every accept_changes",
    "Results and help": "store name as_json dry_run help",
}
#: Heading of each parameter in the help of a command; options of other commands are in one list.
HEADINGS = {"compare": {name: heading for heading, names in _BY_HEADING.items() for name in names.split()}}

Script = Annotated[
    str | None,
    typer.Option(
        help="Command of your own training script, such as 'python train.py --seed {seed}'; all other words are activations.",
        metavar="COMMAND",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(help="Reported name that is compared; by default the first that is known.", metavar="NAME"),
]
Direction = Annotated[
    str | None,
    typer.Option(
        help="max or min: whether a larger metric is better or a smaller one.",
        callback=choice("max", "min"),
    ),
]
Rate = Annotated[
    float | None,
    typer.Option(help="Learning rate for {lr} in the command, and the middle of the grid of --tune lr."),
]
Stack = Annotated[
    bool | None,
    typer.Option(
        "--stack/--no-stack",
        help="Train models that differ only in activations and weights as one computation, or never; by default where it is faster.",
    ),
]
Seeds = Annotated[int, typer.Option(help="Seeds per arm; a verdict needs 6 or more.")]
Jobs = Annotated[
    int | None,
    typer.Option(help="Trials at the same time; by default one per core, or per --threads cores, or per accelerator."),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="Where trials run: auto, cpu, cuda, cuda:0,cuda:1 or mps; by default the task's own device, else the CPU.",
        metavar="DEVICE",
    ),
]
JobsPerDevice = Annotated[int | None, typer.Option(help="Trials at the same time on each device.")]
Threads = Annotated[int | None, typer.Option(help="Threads of torch in each trial; 1 by default.")]
Baseline = Annotated[
    str | None,
    spec_option("Activation that the others are compared with; by default the model as it is.", arm=True),
]
Sites = Annotated[
    list[str] | None,
    typer.Option(
        help="Sites that arms swap, such as 'encoder.*', relu or '*'; by default those of the main function. Repeatable.",
        metavar="PATTERN",
    ),
]
Init = Annotated[
    str,
    typer.Option(
        help="fixed: the model's own; matched: the gain of each function.", callback=choice("fixed", "matched")
    ),
]
Tune = Annotated[
    str | None,
    typer.Option(
        help="lr: tune the learning rate, with the same small budget for every arm; lr-grid: at full length, as in version 0.1.",
        callback=choice("lr", "lr-grid"),
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Value whose time is measured, such as accuracy=0.95 or loss=0.1 (training loss); none for none; by default from a trial of "
        "the baseline before the study.",
        metavar="NAME=VALUE",
    ),
]
Evaluate = Annotated[
    list[str] | None,
    typer.Option(
        help="Axes beside the metric, such as calibration,robustness or all, or a Python file with your own. Repeatable.",
        metavar="AXES",
    ),
]
Name = Annotated[str | None, typer.Option(help="Name of the study; by default made from the plan.")]
Rope = Annotated[
    float | None,
    typer.Option(help="Region of practical equivalence, in the metric's units; by default the task's."),
]
Alpha = Annotated[float, typer.Option(help="Error rate of the whole study.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan and the sites without training.")]
