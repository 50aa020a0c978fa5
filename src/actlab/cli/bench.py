"""Commands on speed: bench, calibrate."""
# ruff: noqa: PLC0415 imports stand inside the commands, so that `actlab --help` waits for none of torch, SymPy and altair

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from actlab.cli.app import AsJson, app, print_json, print_rich

__all__ = ["bench", "calibrate"]


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
        list[str] | None,
        typer.Option(
            help="Also time: formula (torch operations), compile (torch.compile), kernel (ours, at every size)."
        ),
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

    from actlab.bench.speed import DEFAULT
    from actlab.bench.speed import bench as measure
    from actlab.report.charts.bench import write_speed_plot
    from actlab.report.terminal import bench as speeds

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
    print_json(found.to_dict()) if as_json else print_rich(speeds.speed_table(found))
    if plot is not None:
        typer.echo(f"Wrote {write_speed_plot(found, plot)}", err=as_json)


@app.command()
def calibrate(
    specs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Activations; by default all that torch has kernels for, and some more.", metavar="[SPEC]..."
        ),
    ] = None,
    *,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[list[str] | None, typer.Option(help="By default float32 and bfloat16.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each size is timed.")] = 9,
    threads: Annotated[int, typer.Option(help="Threads of torch; each number of threads has sizes of its own.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure, and keep nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure from which size on kernels beat torch on this machine, and keep it for fast layers."""
    import torch
    from rich.console import Console

    from actlab.bench.crossover import calibrate as measure
    from actlab.report.terminal.crossover import crossing_table

    torch.set_num_threads(threads)
    settings: dict[str, Any] = {"device": device, "rounds": rounds, "keep": not dry_run}
    with Console(stderr=True).status("measuring") as status:
        found = measure(specs, dtypes=dtype or ["float32", "bfloat16"], progress=status.update, **settings)
    print_json(found.to_dict()) if as_json else print_rich(crossing_table(found))
