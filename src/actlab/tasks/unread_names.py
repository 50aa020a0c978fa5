"""Names in a task file that look like settings and that neither ActLab nor the file's own code reads.

A name counts as read if code that runs in a trial reads it: the statements of the module, the functions that the protocol calls, and what
these use. What stands under ``if __name__ == "__main__"`` does not run there.
"""

from __future__ import annotations

import ast
import inspect
import symtable
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from actlab.errors import TaskError
from actlab.tasks.setting_names import SETTINGS, nearest_setting, why_no_setting

__all__ = ["check_names", "defined_names", "unread_constants"]

_OTHER_FORM = "is a setting of the loop of ActLab; this file trains by its own function `train`, which does not read it"
_NAMELESS = ("lambda", "genexpr", "listcomp", "setcomp", "dictcomp")  # scopes that run, or are called, where they stand


def check_names(namespace: Mapping[str, Any], text: str, file: Path, settings: Sequence[str] = SETTINGS) -> None:
    """Refuse names that look like settings and have no effect.

    Args:
        namespace: what the file defines.
        text: of the file.
        file: its path, for the message.
        settings: those that a file of its kind may have.

    Raises:
        TaskError: a name is that of a setting, misspelt or in another framework's word, and nothing that runs in a trial reads it.
    """
    tree = _parsed(text)
    everywhere, in_trials = _read(tree, settings), _read(_without_main(tree), settings)
    lines, imported = _assignment_lines(tree), _imported(tree, namespace)
    found = []
    for name, value in namespace.items():
        # functions and classes may be imported unused
        is_own = name in lines or (name in imported and _is_plain(value))
        if name in settings or name.startswith("_") or inspect.ismodule(value) or not is_own:
            continue
        near, why = nearest_setting(name), _OTHER_FORM if name in SETTINGS else why_no_setting(name)
        is_meant = near in settings and near not in namespace and name not in in_trials
        if is_meant or (why and name not in everywhere):
            said = f"did you mean {near!r}?" if is_meant else f"{why}."
            where = f" (line {lines[name]})" if name in lines else ""
            found.append(f"\n  {name}{where}: {said}")
    if found:
        raise TaskError(
            f"{file} defines names that have no effect: no setting of a task is called so, and nothing that runs in a trial reads them."
            f"{''.join(found)}\nA task file may set {', '.join(settings)}. Rename the names, delete them, or, to keep a name that only "
            "your own code reads, begin it with an underscore."
        )


def defined_names(text: str, namespace: Mapping[str, Any]) -> set[str]:
    r"""Return the names of a file without those that are variables of loops only; all where its text cannot be read.

    Example:
        >>> sorted(defined_names("width = 8\nfor step in range(3): pass", {"width": 8, "step": 2}))
        ['width']
    """
    tree = _parsed(text)
    if not tree.body:
        return set(namespace)
    targets = [node.target for node in _statements(tree.body) if isinstance(node, ast.For)]
    loops = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return (set(namespace) - loops) | set(_assignment_lines(tree))


def unread_constants(text: str, settings: Sequence[str] = SETTINGS) -> dict[str, int]:
    r"""Return public names that a file sets to a literal (a number, a text, a list, a dict, ...) and that nothing reads, with their lines.

    Example:
        >>> unread_constants("width = 8\nhidden, _note = 64, 'x'\nepochs = 3\ndef model(seed): return width")
        {'hidden': 2}
    """
    tree = _parsed(text)
    read = _read(tree, settings)
    constants = {name: line for name, line, value in _assignments(tree) if _is_literal(value)}
    return {
        name: line
        for name, line in constants.items()
        if name not in read and name not in settings and not name.startswith("_")
    }


def _parsed(text: str) -> ast.Module:
    """Return the tree of a file that has run; one in another encoding than UTF-8 may have lost characters of its names."""
    try:
        return ast.parse(text.removeprefix("\ufeff"))
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[])


def _imported(tree: ast.Module, namespace: Mapping[str, Any]) -> set[str]:
    """Return the names that a file imports from modules; with a star, those that it sets nowhere itself."""
    aliases = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    if not any(alias.name == "*" for alias in aliases):
        return {alias.asname or alias.name for alias in aliases}
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return set(namespace) - stored


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | None)


def _is_literal(value: ast.expr | None) -> bool:
    if value is None:
        return False
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError):  # something is computed
        return False
    return True


def _without_main(tree: ast.Module) -> ast.Module:
    body = [node for node in tree.body if not (isinstance(node, ast.If) and "__name__" in ast.dump(node.test))]
    return ast.Module(body=body, type_ignores=[])


def _read(tree: ast.Module, settings: Sequence[str]) -> set[str]:
    """Return the names of the module that its statements, the settings, and the functions and classes used by these read."""
    table = symtable.symtable(ast.unparse(tree), "task", "exec")
    inside: dict[str, set[str]] = {}
    for child in table.get_children():
        inside.setdefault(child.get_name(), set()).update(_globals_read(child))
    found: set[str] = set()
    new = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()} | set(settings)
    new |= set().union(*(names for name, names in inside.items() if name in _NAMELESS))
    while new:
        found |= new
        new = set().union(*(inside.get(name, set()) for name in new)) - found
    return found


def _globals_read(table: symtable.SymbolTable) -> set[str]:
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return own.union(*(_globals_read(child) for child in table.get_children()))


def _assignments(tree: ast.Module) -> Iterator[tuple[str, int, ast.expr | None]]:
    """Yield name, line and value of each assignment at module level, those under ``if``, ``try`` and ``with`` too."""
    for node in _statements(tree.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno, None
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _targets(target, node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.lineno, node.value


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for part in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, part, []))


def _targets(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, int, ast.expr | None]]:
    if isinstance(target, ast.Name):
        yield target.id, target.lineno, value
    elif isinstance(target, ast.Tuple | ast.List):
        several = (
            value.elts if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts) else None
        )
        for place, part in enumerate(target.elts):
            yield from _targets(part, several[place] if several else value)


def _assignment_lines(tree: ast.Module) -> dict[str, int]:
    return {name: line for name, line, _ in _assignments(tree)}
