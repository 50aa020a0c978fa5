"""Commands about claims of the literature (``claims list``, ``show``, ``run``, ``report``)."""
# ruff: noqa: PLC0415 commands import what they need when they run, so that `actlab --help` does not load torch, SymPy or altair

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from actlab.cli.app import FINDING, AsJson, Command, app, print_json, print_rich, say
from actlab.cli.arguments import Budget, Store, choice
from actlab.errors import ActlabError, UnknownNameError
from actlab.studies.claims import OUTCOMES

if TYPE_CHECKING:
    from actlab.report.content.claims import ClaimCard

__all__ = ["EXAMPLES", "list_claims", "report", "run", "show"]

# one example of each command, in their order
EXAMPLES = {
    "list": "actlab claims list --outcome holds",
    "show": "actlab claims show rani-fixed-point",
    "run": "actlab claims run rani-fixed-point --records claims",
    "report": "actlab claims report --out claims.html",
}


class ClaimCommands(TyperGroup):
    """Group of the commands about claims, in the order of :data:`EXAMPLES`."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in order of use."""
        return sorted(super().list_commands(ctx), key=list(EXAMPLES).index)


claims = typer.Typer(cls=ClaimCommands, no_args_is_help=True, rich_markup_mode=None)
app.add_typer(
    claims,
    name="claims",
    help="List, run and report claims of the literature as experiments.",
    epilog=f"Example: {EXAMPLES['list']}",
)

Records = Annotated[
    Path | None, typer.Option(help="Folder of the records; by default those that ship with ActLab.", metavar="FOLDER")
]


def _command(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return claims.command(name, cls=Command, epilog=f"Example: {EXAMPLES[name]}")


def _complete(incomplete: str) -> list[str]:
    from actlab.studies.claims.claim_files import claim_names

    return [name for name in claim_names() if name.startswith(incomplete)]


def _argument(meaning: str, metavar: str) -> Any:
    return typer.Argument(help=meaning, metavar=metavar, autocompletion=_complete)


@_command("list")
def list_claims(
    domain: Annotated[str | None, typer.Option(help="Only this domain, such as vision.")] = None,
    outcome: Annotated[
        str | None, typer.Option(help=f"Only this outcome: {', '.join(OUTCOMES)}.", callback=choice(*OUTCOMES))
    ] = None,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """List the claims that ship with ActLab and their outcomes."""
    from actlab.claims import claim_cards
    from actlab.report.terminal.claims import claims_table

    cards = claim_cards(records=records)
    domains = sorted({card.claim.domain for card in cards})
    if domain is not None and domain not in domains:
        raise UnknownNameError("domain", domain, domains, f"Domains of claims are {', '.join(domains) or 'none yet'}.")
    found = [card for card in cards if domain in {None, card.claim.domain} and outcome in {None, card.outcome}]
    print_json([card.to_dict() for card in found]) if as_json else print_rich(claims_table(found))


@_command("show")
def show(
    name: Annotated[str, _argument("Name of a claim, or a Python file that defines one.", "NAME")],
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show a claim: sentence, studies, pass rule and outcome."""
    from actlab.claims import claim_cards
    from actlab.report.terminal.claims import claim_view

    (card,) = claim_cards([name], records=records)
    print_json(card.to_dict()) if as_json else print_rich(claim_view(card))


@_command("run")
def run(
    names: Annotated[
        list[str] | None, _argument("Names of claims, or Python files that define one.", "[NAME]...")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Run all claims that ship with ActLab.")] = False,
    records: Annotated[
        Path, typer.Option(help="Folder of the records: registration, rows and outcome.", metavar="FOLDER")
    ] = Path("claims"),
    store: Store = None,
    jobs: Annotated[int | None, typer.Option(help="Processes that run trials; by default one per core.", min=1)] = None,
    seeds: Annotated[
        int | None, typer.Option(help="Seeds of each study, in the place of the claims' own numbers.", min=1)
    ] = None,
    budget: Budget = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop the rows of a claim that was changed since, and register it anew.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the studies without running them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run claims until they are decided; the same command resumes.

    The pass rule is registered before the first trial. The exit code is 1 if a claim could not be run.
    """
    from actlab.claims import RunSettings, claim_names, find_claims, run_claims
    from actlab.report.terminal.claims import plans_table, runs_table

    if bool(names) == every:
        raise ActlabError(
            "Name the claims to run, or all of them with --all (not both): actlab claims run NAME... | --all"
        )
    sources = names or list(claim_names())
    if dry_run:
        planned = find_claims(sources)
        print_json([_plan_data(claim) for claim in planned]) if as_json else print_rich(plans_table(planned))
        return
    settings = RunSettings(store=store, jobs=jobs, seeds=seeds, budget=budget, restart=restart, progress=True)
    done: list[Any] = []

    def ended(one: Any) -> None:
        done.append(one)
        said = one.outcome.text if one.outcome else f"failed: {one.error}"
        say(f"[{len(done)}/{len(sources)}] {one.name}: {said}", err=True)

    runs = run_claims(sources, records=records, settings=settings, ended=ended)
    print_json([one.to_dict() for one in runs]) if as_json else print_rich(runs_table(runs, len(sources)))
    if any(one.outcome is None for one in runs):
        raise typer.Exit(FINDING)


def _plan_data(claim: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {"name": claim.name, "studies": {key: asdict(study) for key, study in claim.studies.items()}}


@_command("report")
def report(
    names: Annotated[
        list[str] | None, _argument("Names of claims, or Python files; by default all that ship.", "[NAME]...")
    ] = None,
    *,
    records: Records = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write: .html the page, .md a table.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that ActLab did not write.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the records of claims, and write the page of outcomes.

    The exit code is 1 if a record does not count any more: a rule, rows or an outcome were edited (refused), a plan or the code behind it
    was changed (outdated); or if a claim that is named has no record. What `actlab show` and `actlab doctor` cite is brought up to date.
    """
    from actlab.claims import SHIPPED_RECORDS, claim_cards, records_without_claim, update_citations
    from actlab.report.terminal.claims import report_table

    cards = claim_cards(names or None, records=records)
    strays: list[str] = []
    if not names and (records is None or records.resolve() == SHIPPED_RECORDS.resolve()):
        strays = records_without_claim()
        update_citations(cards)
    if out is not None:
        from actlab.report.html.claims import write_claims

        say(f"Wrote {write_claims(cards, out, force=force)} ({len(cards)} claims)", err=as_json)
    if as_json:
        print_json({"claims": [card.to_dict() for card in cards], "without_claim": strays})
    else:
        print_rich(report_table(cards))
        for stray in strays:
            say(f"{stray}: refused. There is a record, and no claim of this name any more.")
    if strays or any(_is_wrong(card, named=bool(names)) for card in cards):
        raise typer.Exit(FINDING)


def _is_wrong(card: ClaimCard, *, named: bool) -> bool:
    return card.outcome in {"refused", "outdated"} or (named and card.outcome == "not run")
