"""The reference: a page for every activation and a gallery of all, as files that need neither network nor scripts from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from actlab.codegen import pytorch
from actlab.codegen.mathml import mathml
from actlab.errors import ActlabError
from actlab.functions.activation import DOMAINS, KINDS, Activation, get
from actlab.functions.activation import names as functions
from actlab.functions.grammar import parse
from actlab.nn.probes.response_curves import Bars, Lines, Map, Picture, picture
from actlab.report.charts import function as panels
from actlab.report.content.activation import claim_rows, fact_rows, known
from actlab.report.html.template import rendered, written

__all__ = ["write"]

Progress = Callable[[int, int, str], None]
STYLES = ("page.css", "reference.css")
MEASURED = "Measured in float64 from the formula, at the defaults of the parameters; z is drawn from N(0, 1)."
CHECKED = (
    "Facts are measured of functions of one number; what is claimed of this one is checked on samples by the tests."
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An activation as the reference shows it."""

    record: Activation
    link: str
    data: Mapping[str, Any]
    pictures: Sequence[Picture]


def write(out: str | Path, names: Sequence[str] | None = None, *, progress: Progress = lambda *_: None) -> list[Path]:
    """Write the reference.

    Args:
        out: the folder; it is made if it is not there, and pages in it are replaced.
        names: which activations; by default all.
        progress: told after each page: how many are done, of how many, and the name.

    Returns:
        The pages: the gallery, ``index.html``, then one for each activation. Beside each lies its data, ``NAME.json``.

    Raises:
        UnknownNameError: there is no such activation.
        ActlabError: the folder cannot be made or written.
    """
    out = Path(out)
    records = [get(name) for name in dict.fromkeys(get(name).name for name in names or functions())]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ActlabError(
            f"The folder {str(out)!r} cannot be made: {reason}. Name a folder you may write to."
        ) from error
    links = {record.name: _link(record.name) for record in records}
    entries = []
    for record in records:
        entry = _entry(record, links[record.name])
        written(out / entry.link, page(entry, links))
        written(
            out / _json_name(entry.link),
            json.dumps(entry.data, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            what="data",
        )
        entries.append(entry)
        progress(len(entries), len(records), record.name)
    index = written(out / "index.html", gallery(entries))
    return [index, *(out / entry.link for entry in entries)]


def _link(name: str) -> str:
    """Return the file of an activation's page: the name, with what does not belong into a path or an address written as hex."""
    return quote(name, safe="").replace("%", "-") + ".html"


def _json_name(link: str) -> str:
    return link.removesuffix(".html") + ".json"


def _entry(record: Activation, link: str) -> Entry:
    spec = parse(record.name)
    return Entry(record=record, link=link, data=known(spec), pictures=picture(spec))


def page(entry: Entry, links: Mapping[str, str]) -> str:
    """Return the page of an activation; ``links`` are the pages there are, by name."""
    record, data = entry.record, entry.data
    has_formula = record.expression is not None
    family = [(name, link) for name, link in links.items() if get(name).family == record.family and name != record.name]
    return rendered(
        "entry.html.j2",
        *STYLES,
        title=f"{record.name}: activation function",
        one=data,
        math=Markup(mathml(record)) if has_formula else "",  # noqa: S704 names are escaped by the reading
        slope=Markup(mathml(record, slope=True)) if record.kind == "elementwise" else "",  # noqa: S704 as above
        panels=[_panel(panel) for panel in entry.pictures],
        code=_code(record),
        facts=fact_rows(data) or claim_rows(data),
        facts_lead=MEASURED if data["facts"] else CHECKED,
        allowed={name: allowed for name, (allowed, _) in DOMAINS.items()},
        pages=links,
        arxiv=record.arxiv,
        family=family,
        json=_json_name(entry.link),
        program=pytorch.text(record) if has_formula else "",
    )


def _panel(panel: Picture) -> dict[str, Any]:
    names = list(panel.curves) if isinstance(panel, Lines) and len(panel.curves) > 1 else []
    names = ["before", "after"] if isinstance(panel, Bars) else names
    return {
        "title": panel.title,
        "names": names,
        "words": _words(panel),
        "svg": Markup(panels.large(panel)),  # noqa: S704 every text in it is escaped
    }


def _words(panel: Picture) -> str:
    if isinstance(panel, Map):
        return f"{panel.title}, for {len(panel.rows)} tokens"
    if isinstance(panel, Bars):
        listed = (", ".join(f"{value:.2f}" for value in vector) for vector in (panel.before, panel.after))
        return "{}: {} becomes {}".format(panel.title, *listed)
    curve = next(iter(panel.curves.values()))
    ends = f"{curve[0]:.3g} at {panel.x[0]:g}, {curve[len(curve) // 2]:.3g} at 0, {curve[-1]:.3g} at {panel.x[-1]:g}"
    return f"Graph of {panel.title}: {ends}"


def _code(record: Activation) -> list[str]:
    learnable = [p.name for p in record.parameters if p.learnable and not p.learned]
    lines = ["import actlab", "", f'actlab.layer("{record.name}")']
    if learnable and record.kind != "vector":
        lines.append(f'actlab.layer("{record.name}({learnable[0]}=learned)")')
    return lines if record.mixes_tokens else [*lines, f'actlab.swap_(model, "{record.name}")']


def gallery(entries: Sequence[Entry]) -> str:
    """Return the page of all activations, by family, each a small picture that leads to its page."""
    families = sorted({entry.record.family for entry in entries})
    return rendered(
        "gallery.html.j2",
        *STYLES,
        title="Reference of activation functions",
        count=len(entries),
        kinds=[kind for kind in KINDS if any(entry.record.kind == kind for entry in entries)],
        families=[
            {
                "name": family,
                "title": family.replace("_", " ").capitalize(),
                "entries": [_card(entry) for entry in entries if entry.record.family == family],
            }
            for family in families
        ],
    )


def _card(entry: Entry) -> dict[str, Any]:
    record = entry.record
    words = " ".join([record.name, *record.aliases, record.family, record.doc, record.source]).lower()
    drawn = Markup(panels.small(entry.pictures[0]))  # noqa: S704 numbers alone
    return {"name": record.name, "kind": record.kind, "link": entry.link, "words": words, "picture": drawn}
