"""Command that writes a model to a file for another runtime (``export``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from actlab.cli import arguments
from actlab.cli.app import AsJson, example, print_json, print_rich
from actlab.cli.arguments import Import, choice

if TYPE_CHECKING:
    from actlab.tasks.model_source import LoadedModel

__all__ = ["export"]

Option = tuple[tuple[str, ...], bool, dict[str, Any]]  # formats that have it, whether it is given, its setting


@example("export")
def export(
    source: Annotated[
        str,
        arguments.source("A Python file that defines model and example_inputs; or a task.", "FILE"),
    ],
    *,
    to: Annotated[str | None, typer.Option(help="Format: onnx, c99 or int8; by default by --out's ending.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file, or the folder of C files; by default the model's name.", metavar="FILE"),
    ] = None,
    opset: Annotated[int, typer.Option(help="ONNX: version of the operator set, from 18 on.")] = 18,
    prefer: Annotated[
        str,
        typer.Option(help="ONNX: accuracy in the tails, or speed.", callback=choice("accuracy", "speed")),
    ] = "accuracy",
    fixed_batch: Annotated[bool, typer.Option("--fixed-batch", help="Fix the size of the batch.")] = False,
    runtime: Annotated[
        bool, typer.Option("--runtime", help="Measure each activation in the installed runtimes.")
    ] = False,
    calibration: Annotated[
        str,
        typer.Option(help="int8: minmax, percentile or mse.", callback=choice("minmax", "percentile", "mse")),
    ] = "minmax",
    device: Annotated[
        list[str] | None,
        typer.Option(help="c99, int8: run on a core in an emulator: m0, m3, m4f, m7, m33; repeatable.", metavar="CORE"),
    ] = None,
    html: arguments.Page = None,
    seed: Annotated[int, typer.Option(help="Seed of the model and its data.")] = 0,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Write a model to a file for another runtime.

    Everything is checked first, and what cannot be exported is named with its place and reason. The file is compared with the model.
    """
    import actlab
    from actlab.export.front import TARGETS, target_of
    from actlab.report.html.export import write as write_page
    from actlab.report.terminal.model.export import export_view
    from actlab.report.terminal.plain_text import PrintableConsole

    target = target_of(out if out is not None else Path("net.onnx"), to)
    loaded = _loaded(source, seed)
    path = out or Path(f"{loaded.name}{(*TARGETS[target].endings, '')[0]}")
    options: dict[str, Option] = {
        "--opset": (("onnx",), opset != 18, {"opset": opset}),
        "--prefer": (("onnx",), prefer != "accuracy", {"prefer": prefer}),
        "--fixed-batch": (("onnx",), fixed_batch, {"dynamic_batch": not fixed_batch}),
        "--runtime": (("onnx",), runtime, {"runtime": runtime}),
        "--calibration": (("int8",), calibration != "minmax", {"calibration": calibration}),
        "targets": (("int8",), False, {"targets": loaded.targets, "metric": loaded.metric}),
        "--device": (("c99", "int8"), bool(device), {"device": tuple(device or ())}),
    }
    with PrintableConsole(stderr=True).status("exporting"):
        report = actlab.export(loaded.model, loaded.example_inputs, path, to=target, **_settings(target, options))
    if html is not None:
        write_page(report, html)
    print_json(report.to_dict()) if as_json else print_rich(export_view(report))


def _loaded(source: str, seed: int) -> LoadedModel:
    from actlab.errors import TaskError
    from actlab.tasks.model_source import load_model

    loaded = load_model(source, seed)
    if loaded.example_inputs is None:
        raise TaskError(f"{source} defines no example_inputs, a batch with which the model is traced.")
    return loaded


def _settings(target: str, options: Mapping[str, Option]) -> dict[str, Any]:
    """Return the settings of a format, and refuse an option of another."""
    from actlab.errors import ExportError

    settings: dict[str, Any] = {}
    for option, (formats, is_given, values) in options.items():
        if target in formats:
            settings |= values
        elif is_given:
            of = f"format{'s' if len(formats) > 1 else ''} {' and '.join(formats)}"
            raise ExportError(f"{option} is an option of the {of}, and the format is {target}; leave it out.")
    return settings
