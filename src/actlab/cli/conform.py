"""Command that tells which activation functions an engine really runs (``conform``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from typing import Annotated, Any

import typer

from actlab.cli import arguments
from actlab.cli.app import FINDING, AsJson, example, print_json, print_rich
from actlab.cli.arguments import Import, choice

__all__ = ["conform"]


@example("conform")
def conform(
    source: Annotated[
        str,
        arguments.source("A Python file that defines model and example_inputs; or a task.", "FILE"),
    ],
    *,
    against: Annotated[
        str,
        typer.Option(help="ONNX file, C project, .npz or .npy outputs, or file.py:function.", metavar="ENGINE"),
    ],
    runtime: Annotated[
        str | None,
        typer.Option(help="Of an ONNX file: onnxruntime or openvino.", callback=choice("onnxruntime", "openvino")),
    ] = None,
    step: Annotated[float | None, typer.Option(help="Step of the output codes of a quantised engine.")] = None,
    tolerance: Annotated[float | None, typer.Option(help="Largest difference that is rounding.")] = None,
    examples_only: Annotated[
        bool, typer.Option("--examples-only", help="Do not try the example inputs times a factor.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the model and its data.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Tell from outputs which functions an engine runs.

    Each site shows the trained function, the one that runs, how far others miss, and what the examples cannot tell. The exit code is 1 if
    another function runs.
    """
    import actlab
    from actlab.errors import TaskError
    from actlab.report.terminal.model.conform import conform_view
    from actlab.report.terminal.plain_text import PrintableConsole
    from actlab.tasks.model_source import load_function, load_model

    loaded = load_model(source, seed)
    if loaded.example_inputs is None:
        raise TaskError(f"{source} defines no example_inputs, a batch on which the engine is compared with the model.")
    engine: Any = load_function(against, loaded, source) if ".py:" in against else against
    settings: dict[str, Any] = {
        "runtime": runtime,
        "step": step,
        "tolerance": tolerance,
        "beyond": not examples_only,
    }
    with PrintableConsole(stderr=True).status("comparing") as status:
        report = actlab.conform(
            loaded.model,
            engine,
            loaded.example_inputs,
            targets=loaded.targets,
            metric=loaded.metric,
            progress=status.update,
            **settings,
        )
    print_json(report.to_dict()) if as_json else print_rich(conform_view(report))
    if not report.conforms:
        raise typer.Exit(FINDING)
