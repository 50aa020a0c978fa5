"""HTML reference of activation functions with a page for each and a gallery of all."""

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
from actlab.report.charts.function import large, small
from actlab.report.content.activation import activation_data, claim_rows, fact_rows
from actlab.report.html.template import render
from actlab.report.output_file import write_output
from actlab.system.printable import escape_unprintable

__all__ = ["write"]

Progress = Callable[[int, int, str], None]
STYLES = ("page.css", "reference.css")
MEASURED = "Measured in float64 from the formula, at default parameters; z is drawn from N(0, 1)."
CHECKED = "Properties are measured for elementwise functions only; the claims for this one are checked on samples by the tests."


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Activation in the reference.

    Attributes:
        record: the activation.
        link: file name of its page.
        data: its properties.
        pictures: its graphs.
    """

    record: Activation
    link: str
    data: Mapping[str, Any]
    pictures: Sequence[Picture]


def write(out: str | Path, names: Sequence[str] | None = None, *, progress: Progress = lambda *_: None) -> list[Path]:
    """Write the reference.

    Args:
        out: folder, which is created if necessary; pages in it are replaced.
        names: of the activations; by default all.
        progress: called after each page with the number done, the total, and the name.

    Returns:
        The pages, with the gallery ``index.html`` first. Each activation also has a data file ``NAME.json``.

    Raises:
        UnknownNameError: there is no such activation.
        ActlabError: the folder cannot be created or written.
    """
    out = Path(out)
    records = [get(name) for name in dict.fromkeys(get(name).name for name in names or functions())]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ActlabError(
            f"The folder {str(out)!r} cannot be created: {reason}. Name a folder you may write to."
        ) from error
    links = {record.name: _link(record.name) for record in records}
    entries = []
    for record in records:
        entry = _entry(record, links[record.name])
        write_output(out / entry.link, page(entry, links))
        write_output(
            out / _json_name(entry.link),
            escape_unprintable(json.dumps(entry.data, indent=2, ensure_ascii=False, allow_nan=False)) + "\n",
            what="data",
        )
        entries.append(entry)
        progress(len(entries), len(records), record.name)
    index = write_output(out / "index.html", gallery(entries))
    return [index, *(out / entry.link for entry in entries)]


def _link(name: str) -> str:
    """Return the file name of an activation's page, with characters that are not allowed in paths or URLs as hex."""
    return quote(name, safe="").replace("%", "-") + ".html"


def _json_name(link: str) -> str:
    return link.removesuffix(".html") + ".json"


def _entry(record: Activation, link: str) -> Entry:
    spec = parse(record.name)
    return Entry(record=record, link=link, data=activation_data(spec), pictures=picture(spec))


def page(entry: Entry, links: Mapping[str, str]) -> str:
    """Return the page of an activation, given the links of all pages by name."""
    record, data = entry.record, entry.data
    has_formula = record.expression is not None
    family = [(name, link) for name, link in links.items() if get(name).family == record.family and name != record.name]
    return render(
        "entry.html.j2",
        *STYLES,
        title=f"{record.name}: activation function",
        one=data,
        math=Markup(mathml(record)) if has_formula else "",  # noqa: S704 the MathML printer escapes names
        slope=Markup(mathml(record, slope=True)) if record.kind == "elementwise" else "",  # noqa: S704 as above
        panels=[_panel(panel) for panel in entry.pictures],
        code=_example_code(record),
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
        "alt": _alternative_text(panel),
        "svg": Markup(large(panel)),  # noqa: S704 every text in it is escaped
    }


def _alternative_text(panel: Picture) -> str:
    if isinstance(panel, Map):
        return f"{panel.title}, for {len(panel.rows)} tokens"
    if isinstance(panel, Bars):
        before, after = (", ".join(f"{value:.2f}" for value in vector) for vector in (panel.before, panel.after))
        return f"{panel.title}: {before} becomes {after}"
    curve = next(iter(panel.curves.values()))
    ends = f"{curve[0]:.3g} at {panel.x[0]:g}, {curve[len(curve) // 2]:.3g} at 0, {curve[-1]:.3g} at {panel.x[-1]:g}"
    return f"Graph of {panel.title}: {ends}"


def _example_code(record: Activation) -> list[str]:
    learnable = [p.name for p in record.parameters if p.learnable and not p.learned]
    lines = ["import actlab", "", f'actlab.layer("{record.name}")']
    if learnable and record.kind != "vector":
        lines.append(f'actlab.layer("{record.name}({learnable[0]}=learned)")')
    return (
        lines if record.mixes_tokens or record.kind == "complex" else [*lines, f'actlab.swap_(model, "{record.name}")']
    )


# the functions that most models use, first in the gallery
COMMON = (
    "relu",
    "gelu",
    "silu",
    "tanh",
    "sigmoid",
    "leaky_relu",
    "elu",
    "softplus",
    "mish",
    "hardswish",
    "softmax",
    "swiglu",
)


def gallery(entries: Sequence[Entry]) -> str:
    """Return the page of all activations by family, with small graphs that link to their pages."""
    families = sorted({entry.record.family for entry in entries})
    by_name = {entry.record.name: entry for entry in entries}
    common = [_card(by_name[name]) for name in COMMON if name in by_name]
    common = common if len(entries) > len(common) else []
    return render(
        "gallery.html.j2",
        *STYLES,
        title="Reference of activation functions",
        count=len(entries),
        kinds=[kind for kind in KINDS if any(entry.record.kind == kind for entry in entries)],
        common=common,
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
    graph = Markup(small(entry.pictures[0]))  # noqa: S704 it contains numbers only
    return {"name": record.name, "kind": record.kind, "link": entry.link, "words": words, "picture": graph}
