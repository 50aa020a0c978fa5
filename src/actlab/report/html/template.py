"""The shell of every page: its head, style, mark and foot, and the policy that forbids it every request.

The templates lie beside this file; ``shell.html.j2`` is what they extend. Everything that is put into them is escaped unless it is
Markup, made here or by the drawings.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from actlab.errors import ActlabError
from actlab.report.charts import palette

__all__ = ["rendered", "written"]


def rendered(template: str, *styles: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: name of a file beside this one.
        styles: names of the style sheets it holds.
        values: what the template shows.
    """
    return _environment().get_template(template).render(css=_css(styles), version=version("actlab"), **values)


def written(path: Path, text: str, *, what: str = "page") -> Path:
    """Write a file and return its path.

    Raises:
        ActlabError: it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ActlabError(
            f"The {what} cannot be written to {str(path)!r}: {reason}. Name a file in a folder you may write to."
        ) from error
    return path


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("actlab", "report/html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _css(styles: tuple[str, ...]) -> Markup:
    sheets = (files("actlab.report.html").joinpath(name).read_text(encoding="utf-8") for name in styles)
    return Markup(_hues() + "".join(sheets))  # noqa: S704 our own files


def _hues() -> str:
    light, dark = (
        "".join(f"--arm-{n}: {hue}; " for n, hue in enumerate(hues, 1)) for hues in (palette.LIGHT, palette.DARK)
    )
    return f":root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
