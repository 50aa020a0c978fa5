"""Typer application, with the error messages, exit codes and printing shared by all commands.

Exit codes: 0 success; 1 a finding (a fault found by ``doctor``, a study in which no arm could be trained); 2 a usage or input error,
printed as one message on stderr, or with ``--json`` as ``{"error": {...}}`` on stdout; 130 stopped with Ctrl-C. An internal error prints
one line and exits with 2 as well, because 1 means a finding; ``ACTLAB_DEBUG=1`` shows its traceback.
"""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from actlab.errors import ActlabError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["FINDING", "AsJson", "Store", "app", "command", "main", "print_json", "print_rich"]

FINDING, WRONG, STOPPED = 1, 2, 130
# the module that defines it differs between versions of typer
UsageError: type[Exception] = typer.BadParameter.__bases__[0]
# order of `actlab --help`, from choosing an activation to looking one up
ORDER = (
    "compare", "report", "studies", "doctor", "sites", "importance", "bench", "calibrate", "show", "list", "find", "rules", "reference",
)  # fmt: skip


class Commands(TyperGroup):
    """Command group that prints errors as messages and sets the exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in order of use."""
        return sorted(super().list_commands(ctx), key=ORDER.index)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Store the arguments as typed, for messages that repeat the command."""
        ctx.obj = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and print errors that the user can correct as messages."""
        as_json = "--json" in ctx.obj
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
            typer.echo(f"{message}\n  {command(*ctx.obj)}", err=True)
            raise typer.Exit(STOPPED) from None
        raise typer.Exit(WRONG)


app = typer.Typer(
    cls=Commands,
    help="Compare, inspect and benchmark activation functions in PyTorch models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Store = Annotated[str, typer.Option(help="URL of the store, such as sqlite:///actlab.db.", metavar="URL")]


def command(*words: str) -> str:
    """Return an ``actlab`` command line, quoted for a shell."""
    return shlex.join(["actlab", *words])


def _print_error(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        near = getattr(error, "near", None)
        print_json({"error": {"type": type(error).__name__, "message": message, **({"near": near} if near else {})}})
    else:
        typer.echo(f"actlab: {message}", err=True)


def print_json(value: Any) -> None:
    """Print plain data on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_rich(renderable: RenderableType) -> None:
    """Print a table or text on stdout."""
    from rich.console import Console

    Console().print(renderable)


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
    try:
        app(prog_name="actlab")
    except Exception as error:  # an internal error of any kind: one line instead of a traceback
        if os.environ.get("ACTLAB_DEBUG") == "1":
            raise
        typer.echo(
            f"actlab: internal error, please report: {type(error).__name__}: {error}\n"
            "Run the command again with ACTLAB_DEBUG=1 for the traceback, and include both in the report.",
            err=True,
        )
        sys.exit(WRONG)
