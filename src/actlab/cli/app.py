"""Typer application, with the error messages, exit codes and printing shared by all commands.

Exit codes: 0 success; 1 a finding (a fault found by ``doctor``, ``audit``, ``lint`` or ``conform``, a study in which no arm could be
trained); 2 a usage or input error, printed as one message on stderr, or with ``--json`` as ``{"error": {...}}`` on stdout; 130 stopped
with Ctrl-C, 143 by SIGTERM, 129 when the terminal was closed. An internal error prints one line and exits with 2 as well, because 1 means
a finding; ``ACTLAB_DEBUG=1`` shows its traceback. With ``--json`` what user code prints goes to stderr.
"""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from actlab.cli.arguments import SCRIPT, parse_specs
from actlab.cli.compare_options import HEADINGS
from actlab.cli.json_output import only_results_on_stdout, print_result, reserve_stdout
from actlab.cli.stop import answer_signals, is_program
from actlab.errors import ActlabError
from actlab.system import collector, interrupts, native_threads
from actlab.system.printable import escape_unprintable, printable
from actlab.system.standard_streams import open_missing_streams

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["EXAMPLES", "FINDING", "AsJson", "app", "command", "example", "main", "print_json", "print_rich", "say"]

FINDING, WRONG = 1, 2
# the module that defines it differs between versions of typer
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
# one example of each command; their order is that of `actlab --help`, from choosing an activation to looking one up
EXAMPLES = {
    "compare": "actlab compare digits relu gelu 'swish(beta=learned)' --seeds 6",
    "report": "actlab report --out report.html",
    "studies": "actlab studies",
    "tasks": "actlab tasks",
    "cost": "actlab cost my_model.py relu gelu mish",
    "doctor": "actlab doctor digits",
    "audit": "actlab audit digits",
    "sites": "actlab sites my_model.py",
    "evaluate": "actlab evaluate digits --axes calibration,groups",
    "importance": "actlab importance digits --act gelu",
    "claims": "actlab claims list",
    "lint": "actlab lint table.csv --runs 5",
    "export": "actlab export my_model.py --out net.onnx",
    "conform": "actlab conform my_model.py --against net.onnx",
    "show": "actlab show gelu",
    "list": "actlab list --kind gated",
    "find": "actlab find --monotone --bounded --native",
    "rules": "actlab rules",
    "bench": "actlab bench gelu mish --size 1M",
    "hardware": "actlab hardware gelu mish --out hardware.html",
    "calibrate": "actlab calibrate --dry-run",
    "reference": "actlab reference --out activations",
}


class Commands(TyperGroup):
    """Command group that prints errors as messages and sets the exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in order of use."""
        return sorted(super().list_commands(ctx), key=list(EXAMPLES).index)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 # the signature is click's
        """Write an example of each command."""
        with formatter.section("Examples"):
            for line in EXAMPLES.values():
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Store the arguments as typed, for messages that repeat the command."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and print errors that the user can correct as messages."""
        as_json = "--json" in ctx.obj
        with only_results_on_stdout() if as_json else nullcontext():
            return self._invoke(ctx, as_json=as_json)

    def _invoke(self, ctx: Any, *, as_json: bool) -> Any:
        try:
            return super().invoke(ctx)
        except ActlabError as error:
            _print_error(error, str(error), as_json=as_json)
        except UsageError as error:
            if not as_json:
                raise
            _print_error(error, getattr(error, "format_message", error.__str__)(), as_json=True)
        except KeyboardInterrupt as stopped:
            message = str(stopped) or "Stopped. Finished trials are stored; the same command resumes:"
            say(f"{message}\n  {command(*ctx.obj)}", err=True)
            raise typer.Exit(interrupts.exit_code()) from None
        raise typer.Exit(WRONG)


class Command(TyperCommand):
    """Command whose activation specs are parsed before it runs."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, those of a long list under several headings."""
        headings = HEADINGS.get(str(self.name), {})
        groups: dict[str, list[tuple[str, str]]] = {name: [] for name in ("Arguments", *headings.values(), "Options")}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                is_argument = parameter.param_type_name == "argument"
                groups["Arguments" if is_argument else headings.get(str(parameter.name), "Options")].append(record)
        for heading, records in ((heading, records) for heading, records in groups.items() if records):
            with formatter.section(heading):
                formatter.write_dl(records)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put a script in the place of the task, so that all other words are activations."""
        has_script = any(word == "--script" or word.startswith("--script=") for word in args)
        return super().parse_args(ctx, [SCRIPT, *args] if has_script else args)

    def invoke(self, ctx: Any) -> Any:
        """Parse the specs and run the command."""
        with collector.paused(), native_threads.blas_on_one_thread():
            parse_specs(ctx)  # imports SymPy and NumPy
        return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    help="Compare, inspect and benchmark activation functions in PyTorch models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def example(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the command of that name, with its example below the help text."""
    return app.command(name, cls=Command, epilog=f"Example: {EXAMPLES[name]}")


def command(*words: str) -> str:
    """Return an ``actlab`` command line, quoted for a shell."""
    return shlex.join(["actlab", *words])


def say(text: str, *, err: bool = False) -> None:
    """Print a text without unprintable characters, on stdout or stderr."""
    typer.echo(printable(text), err=err)


def _print_error(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        near = getattr(error, "near", None)
        print_json({"error": {"type": type(error).__name__, "message": message, **({"near": near} if near else {})}})
    else:
        say(f"actlab: {message}", err=True)


def print_json(value: Any) -> None:
    """Print plain data on stdout."""
    print_result(escape_unprintable(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)))


def print_rich(renderable: RenderableType) -> None:
    """Print tables and text on stdout, in the width of the terminal; in a pipe or file each row of a table is one line."""
    from actlab.report.terminal.plain_text import PrintableConsole, fixed_width, plain_text

    console = PrintableConsole()
    if console.is_terminal or fixed_width() is not None:
        console.print(renderable)
    else:
        typer.echo(plain_text(renderable), nl=False)


def _print_version(requested: bool) -> None:
    if requested:
        from actlab import __version__

        typer.echo(f"actlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compare, inspect and benchmark activation functions in PyTorch models."""


def main() -> None:
    """Run the command line with the arguments of this process."""
    answer_signals()
    if is_program():
        collector.skip_at_exit()
    open_missing_streams()
    if "--json" in sys.argv:
        reserve_stdout()  # to the end: user code may also print when the interpreter ends
    try:
        app(prog_name="actlab")
    except Exception as error:  # an internal error of any kind: one line instead of a traceback
        if os.environ.get("ACTLAB_DEBUG") == "1":
            raise
        say(
            f"actlab: internal error, please report: {type(error).__name__}: {error}\n"
            "Run the command again with ACTLAB_DEBUG=1 for the traceback, and include both in the report.",
            err=True,
        )
        sys.exit(WRONG)
