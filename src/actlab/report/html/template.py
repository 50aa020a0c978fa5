"""Rendering of Jinja templates to self-contained HTML with embedded styles.

The templates are beside this file; they extend ``shell.html.j2``. Values are escaped, except Markup, which only this package creates.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from actlab.report.charts import palette
from actlab.system.printable import printable

__all__ = ["render"]


def render(template: str, *styles: str, **values: Any) -> str:
    """Render a page.

    Args:
        template: name of a file beside this one.
        styles: names of the style sheets to embed.
        values: variables of the template.
    """
    return _environment().get_template(template).render(css=_css(styles), version=version("actlab"), **values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("actlab", "report/html"),
        autoescape=True,
        finalize=_without_unprintable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _without_unprintable(value: Any) -> Any:
    """Return a value of a template; text loses what cannot be seen, and Markup, which is ours, stays."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _breakable(name: str) -> Markup:
    """Return a spec that a browser may break after its opening bracket."""
    return Markup(str(escape(printable(name))).replace("(", "(<wbr>"))  # noqa: S704 # escaped


@cache
def _css(styles: tuple[str, ...]) -> Markup:
    sheets = (files("actlab.report.html").joinpath(name).read_text(encoding="utf-8") for name in styles)
    return Markup(_palette_css() + "".join(sheets))  # noqa: S704 files of this package


def _palette_css() -> str:
    light, dark = (
        "".join(f"--arm-{n}: {hue}; " for n, hue in enumerate(hues, 1)) for hues in (palette.LIGHT, palette.DARK)
    )
    return f":root {{ {light}}}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
