"""Sphinx configuration of the documentation site; ``scripts/docs`` builds it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import generated_pages  # noqa: E402 as above

import actlab  # noqa: E402 the folder of this file has to be on the path first

project = "ActLab"
author = "The ActLab contributors"
copyright = author  # noqa: A001 the name that Sphinx reads
version = release = actlab.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "evidence/data"]
highlight_language = "text"  # an indented block is a command line or its output, not Python
nitpicky = True

myst_heading_anchors = 3  # links such as page.md#a-heading are checked

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80  # one parameter per line in long signatures
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of a record as a list, not as entries of the index

html_theme = "furo"
html_title = f"ActLab {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
copybutton_exclude = ".linenos, .gp, .go"

nitpick_ignore_regex = [
    # there is no network at build time, so types of other libraries are not links
    (r"py:.*", r"(collections|numpy|pathlib|re|sympy|torch|typing)\..*"),
    # of several attributes that are described in one line, napoleon takes all but the last for a type
    (r"py:class", r"[a-z_]+"),
]

# public names by the module in which they are defined
_PUBLIC = {
    f"{getattr(actlab, name).__module__}.{name}": f"actlab.{name}" for name in actlab.__all__ if name != "__version__"
}


def _exists(target: str) -> bool:
    """Return whether a name is one of the package's that has no entry: shown as it is, where a name that is nowhere is an error."""
    last = target.rpartition(".")[2]
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "actlab"]
    return any(last in vars(module) for module in modules) or (
        target.startswith("actlab.") and find_spec(target) is not None
    )


def _resolve(app, env, node, contnode):
    """Link a name as docstrings write it, such as ``Morph`` or ``actlab.study.Study``, to the entry of the object."""
    if node.get("refdomain") != "py":
        return None
    target = node.get("reftarget", "")
    domain = env.get_domain("py")
    if target in _PUBLIC:
        full_names = [_PUBLIC[target]]
    else:
        full_names = [
            full for full, entry in domain.objects.items() if full.endswith(f".{target}") and not entry.aliased
        ]
    if len(full_names) != 1:
        return contnode if _exists(target) else None
    return domain.resolve_xref(env, node.get("refdoc", ""), app.builder, "obj", full_names[0], node, contnode)


# Napoleon takes the words before a colon for a type, in what a function returns and in the docstring of a property. Types are annotations
# here, and these words are sentences.
_properties: dict[str, list[str]] = {}


def _before_napoleon(_app, kind, name, _obj, _options, lines):
    """Keep the docstring of a property, and write what a function returns as a field."""
    if kind in {"attribute", "property", "data"}:
        _properties[name] = list(lines)
    if "Returns:" in lines:
        start = lines.index("Returns:")
        end = next((i for i in range(start + 1, len(lines)) if lines[i] and not lines[i].startswith(" ")), len(lines))
        first, *rest = lines[start + 1 : end]
        lines[start:end] = [f":returns: {first.strip()}", *rest]


def _after_napoleon(_app, _kind, name, _obj, _options, lines):
    """Put the docstring of a property back."""
    lines[:] = _properties.pop(name, lines)


def _fill(app, _page, source):
    """Fill in the generated parts of a page, which is read anew in every build: the code may have changed."""
    text = generated_pages.fill(source[0])
    if text != source[0]:
        app.env.note_reread()
    source[0] = text


def setup(app):
    """Fill in the generated parts of pages, and resolve references to public names."""
    app.connect("source-read", _fill)
    app.connect("missing-reference", _resolve)
    app.connect("autodoc-process-docstring", _before_napoleon, priority=400)  # napoleon has 500
    app.connect("autodoc-process-docstring", _after_napoleon, priority=600)
    return {"parallel_read_safe": True}
