"""Commands that measure speed (``bench``, ``hardware``, ``calibrate``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import AsJson, example, print_json, print_rich, say
from actlab.cli.arguments import Import, choice, some_specs
from actlab.errors import ActlabError
from actlab.system import interrupts

__all__ = ["bench", "calibrate", "hardware"]


DTYPES = ("float32", "float64", "bfloat16", "float16")
Device = Annotated[str, typer.Option(help="cpu or cuda.", callback=choice("cpu", "cuda"))]


@example("bench")
def bench(
    specs: Annotated[list[str] | None, some_specs("eleven common ones")] = None,
    *,
    device: Device = "cpu",
    dtype: Annotated[str, typer.Option(help=f"{', '.join(DTYPES)}.", callback=choice(*DTYPES))] = "float32",
    size: Annotated[str, typer.Option(help="Number of output elements, such as 64k or 16M.")] = "16M",
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="Also time: formula (eager torch operations), compile (torch.compile), kernel (ActLab's, at every size)."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Number of timed rounds.")] = 9,
    threads: Annotated[
        int, typer.Option(help="torch threads; with 1, CPU time is measured, which other processes affect least.")
    ] = 1,
    as_shipped: Annotated[bool, typer.Option("--as-shipped", help="Do not tune the memory allocator.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a chart: .svg, .pdf or .png.", metavar="FILE")] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Time activations beside torch and the memory bandwidth."""
    import torch

    from actlab.bench.speed import DEFAULT
    from actlab.bench.speed import bench as measure_speed
    from actlab.report.charts.bench import write_speed_plot
    from actlab.report.terminal.bench import speed_table
    from actlab.report.terminal.plain_text import PrintableConsole

    torch.set_num_threads(threads)
    contenders = list(dict.fromkeys(["actlab", "torch", *(against or [])]))
    settings: dict[str, Any] = {
        "device": device,
        "dtype": dtype,
        "size": size,
        "rounds": rounds,
        "as_shipped": as_shipped,
    }
    with PrintableConsole(stderr=True).status("warming up") as status:
        result = measure_speed(specs or DEFAULT, contenders=contenders, progress=status.update, **settings)
    print_json(result.to_dict()) if as_json else print_rich(speed_table(result))
    if plot is not None:
        say(f"Wrote {write_speed_plot(result, plot)}", err=as_json)


@example("hardware")
def hardware(
    specs: Annotated[list[str] | None, some_specs("the 25 best-known")] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Time all functions of the catalogue, which takes minutes.")
    ] = False,
    device: Device = "cpu",
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="May be given several times; by default all four.", callback=choice(*DTYPES)),
    ] = None,
    size: Annotated[str, typer.Option(help="Number of output elements, such as 64k or 16M.")] = "1M",
    rounds: Annotated[int, typer.Option(help="Number of timed rounds; intervals need six.")] = 9,
    threads: Annotated[
        int, typer.Option(help="torch threads; with 1, CPU time is measured, which other processes affect least.")
    ] = 1,
    fast: Annotated[bool, typer.Option("--fast", help="Run ActLab's kernels where they are faster.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write a page.", metavar="FILE.html")] = None,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Show what activations cost here in every dtype.

    Times are told over ReLU's in the same dtype and over the function's own in float32. Ctrl-C ends the measurement; what is measured by
    then is shown and written.
    """
    import torch

    from actlab.bench.hardware import DTYPES as EVERY_DTYPE
    from actlab.bench.hardware import measure_hardware
    from actlab.report.html.hardware import write
    from actlab.report.terminal.hardware import hardware_table

    if every and specs:
        raise ActlabError(f"--all times every function of the catalogue; leave out {', '.join(specs)}, or --all.")
    torch.set_num_threads(threads)
    settings: dict[str, Any] = {"device": device, "dtypes": dtype or list(EVERY_DTYPE), "size": size, "rounds": rounds}
    with interrupts.raised_as_exception():
        found = measure_hardware(specs or None, every=every, fast=fast, progress=None, **settings)
    print_json(found.to_dict()) if as_json else print_rich(hardware_table(found))
    if out is not None:
        say(f"Wrote {write(found, out)}", err=as_json)
    if found.stopped:
        say("Stopped before all functions were timed.", err=True)
        raise typer.Exit(interrupts.exit_code())


@example("calibrate")
def calibrate(
    specs: Annotated[list[str] | None, some_specs("all for which torch has a kernel, and some others")] = None,
    *,
    device: Device = "cpu",
    dtype: Annotated[
        list[str] | None,
        typer.Option(help="May be given several times; by default float32 and bfloat16.", callback=choice(*DTYPES)),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Number of timed rounds per size.")] = 9,
    threads: Annotated[int, typer.Option(help="torch threads; sizes are stored per number of threads.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure without storing the result.")] = False,
    imports: Import = None,  # noqa: ARG001 # done by its callback
    as_json: AsJson = False,
) -> None:
    """Measure from which size on ActLab's kernels are used here.

    It is the size from which they are faster than torch on this machine; fast layers read it.
    """
    import torch

    from actlab.bench.crossover import calibrate as measure_crossovers
    from actlab.report.terminal.crossover import crossover_table
    from actlab.report.terminal.plain_text import PrintableConsole

    torch.set_num_threads(threads)
    settings: dict[str, Any] = {"device": device, "rounds": rounds, "keep": not dry_run}
    with PrintableConsole(stderr=True).status("measuring") as status:
        result = measure_crossovers(specs, dtypes=dtype or ["float32", "bfloat16"], progress=status.update, **settings)
    print_json(result.to_dict()) if as_json else print_rich(crossover_table(result))
