"""The application: what all commands share, and the one place where an error becomes a message and an exit code.

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
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from actlab.errors import ActlabError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["FINDING", "AsJson", "Store", "app", "command", "main", "print_json", "print_rich"]

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
            typer.echo(f"{kept}\n  {command(*ctx.obj)}", err=True)
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


def command(*words: str) -> str:
    """Return a command line of ours, to be typed."""
    return shlex.join(["actlab", *words])


def _tell(error: Exception, message: str, *, as_json: bool) -> None:
    if as_json:
        near = getattr(error, "near", None)
        print_json({"error": {"type": type(error).__name__, "message": message, **({"near": near} if near else {})}})
    else:
        typer.echo(f"actlab: {message}", err=True)


def print_json(value: Any) -> None:
    """Print plain data on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_rich(shown: RenderableType) -> None:
    """Print what was drawn for a terminal."""
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
