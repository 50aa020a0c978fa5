"""Every library that ActLab imports is declared, and one of an extra is imported only where its absence is handled."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Names of distributions that are not installed here, so that their metadata cannot be asked.
KNOWN = {"pandas": "pandas", "timm": "timm", "triton": "triton", "transformers": "transformers", "optuna": "optuna"}
GUARDS = {"ImportError", "ModuleNotFoundError", "Exception"}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements):
    return {canonical(re.match(r"[A-Za-z0-9._-]+", text)[0]) for text in requirements}


CORE = declared(PROJECT["dependencies"])
EXTRAS = {
    name: declared(texts) for name, texts in PROJECT["optional-dependencies"].items() if name not in {"dev", "docs"}
}


def imports(tree, guarded=False):
    """Yield the top-level names that a file imports, and whether the import stands in a ``try`` that expects its absence."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.partition(".")[0], guarded
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from ((name, True) for name, _ in imports(node, guarded=True))
        elif isinstance(node, ast.Try):
            caught = {
                name
                for handler in node.handlers
                for name in re.findall(r"\w+", ast.unparse(handler.type or ast.Name("Exception")))
            }
            for part in node.body:
                yield from imports(ast.Module([part], []), guarded or bool(caught & GUARDS))
            for part in (*node.handlers, *node.orelse, *node.finalbody):
                yield from imports(part, guarded)
        elif (
            isinstance(node, ast.With)
            and "suppress" in ast.unparse(node.items[0])
            and GUARDS & set(re.findall(r"\w+", ast.unparse(node.items[0])))
        ):
            yield from imports(ast.Module(node.body, []), guarded=True)
        else:
            yield from imports(node, guarded)


def third_party():
    """Return the files that import each library, and whether every import of each file is guarded."""
    found = defaultdict(dict)
    for file in sorted((ROOT / "src" / "actlab").rglob("*.py")):
        for name, guarded in imports(ast.parse(file.read_text(encoding="utf-8"))):
            if name not in sys.stdlib_module_names and name != "actlab":
                path = file.relative_to(ROOT / "src" / "actlab").as_posix()
                found[name][path] = guarded and found[name].get(path, True)
    return found


FOUND = third_party()


def distributions(name):
    return {canonical(known) for known in packages_distributions().get(name, [KNOWN.get(name, name)])}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_every_imported_library_is_declared(name):
    extras = {library for libraries in EXTRAS.values() for library in libraries}

    assert distributions(name) & (CORE | extras), (
        f"{name} is imported by {sorted(FOUND[name])} and not declared in pyproject.toml"
    )


# Files that only run once the library of an extra is known to be there.
BEHIND = {
    "triton": re.compile(r"codegen/gpu/"),
    "pandas": re.compile(r"$^"),
    "transformers": re.compile(r"integrations/"),
    "timm": re.compile(r"integrations/"),
}


@pytest.mark.parametrize("name", sorted(FOUND))
def test_a_library_of_an_extra_is_imported_where_its_absence_is_handled(name):
    if distributions(name) & CORE:
        pytest.skip("a dependency of every installation")

    unguarded = [file for file, guarded in FOUND[name].items() if not guarded and not BEHIND[name].match(file)]

    assert not unguarded, f"{name} is an extra: import it in a try that names the extra when it is missing"


def test_every_declared_dependency_is_imported():
    used = set().union(*(distributions(name) for name in FOUND))

    assert CORE - used <= {"vl-convert-python", "scikit-learn"} - used
