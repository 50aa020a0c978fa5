"""Names and arguments in the text of an activation spec, and hints for text that is none."""

from __future__ import annotations

import re

from actlab.errors import SpecError, UnknownNameError
from actlab.functions.name_index import built_in_names

__all__ = [
    "GRAMMAR",
    "check_names",
    "foreign_parameter_hint",
    "is_number",
    "name_hint",
    "split_arguments",
    "split_call",
    "split_rule",
    "split_site_map",
]

_CALL = re.compile(r"\s*(?P<name>[A-Za-z_][\w\-]*)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)

# A constant rule may be written as its number.
_NUMBER = re.compile(r"\s*[-+.\d]")

GRAMMAR = (
    "Write a name, with parameters in parentheses if needed: "
    "gelu, leaky_relu(0.02), swish(beta=learned), elu(alpha=learned_per_channel); and after a slash a gradient rule: step/rect(-0.5, 0.5)."
)

# parameters of other libraries that ActLab's activations do not have
_FOREIGN = {
    "approximate": "The approximation by tanh is an activation of its own, gelu_tanh; gelu is the exact function.",
    "inplace": "Leave it out: layers compute in place where that is safe.",
    "num_parameters": "Write learned for one number, or learned_per_channel for one per channel: prelu(weight=learned_per_channel).",
    "init": "The initial value is written into the parentheses: prelu(weight=learned(0.25)).",
    "device": "Move the layer or the model instead: layer.to(device).",
    "dtype": "Move the layer or the model instead: layer.to(dtype).",
}
_NO_ACTIVATION = {"none", "no", "off", "null", "nothing"}
_TIME_UNITS = {"s", "sec", "second", "seconds", "m", "min", "mins", "minute", "minutes", "h", "hr", "hour", "hours"}


def split_rule(text: str) -> tuple[str, str | None]:
    """Return the text before the slash, and the gradient rule after it, None if there is no slash."""
    forward, slash, backward = text.partition("/")
    return forward, backward if slash else None


def split_call(part: str, text: str) -> tuple[str, str]:
    """Return the name before the parentheses, and the text between them.

    Args:
        part: the part of the spec before or after the slash.
        text: the whole spec, for the message.

    Raises:
        SpecError: the part is no name with arguments.

    Example:
        >>> split_call("leaky_relu(0.02)", "leaky_relu(0.02)")
        ('leaky_relu', '0.02')
    """
    match = _CALL.fullmatch(part)
    if not match or not _is_balanced(match["arguments"] or ""):
        raise SpecError(f"The spec {text!r} cannot be read. {_hint(part.strip()) or GRAMMAR}")
    return match["name"].replace("-", "_"), match["arguments"] or ""


def split_arguments(arguments: str) -> list[str]:
    """Return the texts between commas, those in parentheses left whole.

    Example:
        >>> split_arguments("-0.5, k=learned(2)")
        ['-0.5', 'k=learned(2)']
    """
    return [piece.strip() for piece in re.split(r",(?![^()]*\))", arguments) if piece.strip()]


def split_site_map(text: str) -> list[tuple[str, str]]:
    """Return the pairs of site pattern and spec of a map written as one text; an empty list for a single spec.

    Example:
        >>> split_site_map("encoder.*=gelu; head=swish(beta=learned)"), split_site_map("swish(beta=learned)")
        ([('encoder.*', 'gelu'), ('head', 'swish(beta=learned)')], [])
    """
    pieces, depth, equals = [""], 0, [-1]
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == ";" and depth == 0:
            pieces.append("")
            equals.append(-1)
            continue
        if character == "=" and depth == 0 and equals[-1] < 0:
            equals[-1] = len(pieces[-1])
        pieces[-1] += character
    pairs = [(piece[:place].strip(), piece[place + 1 :].strip()) for piece, place in zip(pieces, equals, strict=True)]
    return pairs if all(place > 0 for place in equals) else []


def is_number(part: str) -> bool:
    """Return whether a gradient rule is written as a number."""
    return _NUMBER.match(part) is not None


def check_names(text: str) -> None:
    """Check the grammar and the names of a spec against those of the built-in functions, without importing them.

    Raises:
        SpecError: the text does not follow the grammar.
        UnknownNameError: no built-in activation or gradient rule has such a name.
    """
    forward, backward = split_rule(text)
    name, _ = split_call(forward, text)
    _known("activation", name, built_in_names("catalogue"), "`actlab list` shows all of them.")
    if backward is not None and not is_number(backward):
        name, _ = split_call(backward, text)
        _known("gradient rule", name, built_in_names("rules"), "`actlab rules` shows all of them.")


def _known(what: str, name: str, known: tuple[str, ...], hint: str) -> None:
    if name.strip().lower() not in known:
        meant = name_hint(name)
        raise UnknownNameError(what, name, () if meant else known, meant or hint)


def name_hint(name: str) -> str:
    """Return what was probably meant by a word that no activation has as its name; empty if nothing is known of it."""
    word = name.lower()
    if word in _NO_ACTIVATION:
        return "Without an activation, the function is identity."
    if word in _TIME_UNITS:
        return "A time is written without a space, such as --budget 10m."
    return ""


def foreign_parameter_hint(name: str) -> str:
    """Return a sentence on a parameter that other libraries have; empty if nothing is known of it."""
    return f" {_FOREIGN[name]}" if name in _FOREIGN else ""


def _hint(part: str) -> str:
    """Return what was probably meant by text that is no name with arguments; empty if nothing is known of it."""
    if part.count("(") != part.count(")"):
        return f"A parenthesis is not {'closed' if part.count('(') > part.count(')') else 'opened'}."
    several = [piece for piece in re.split(r"[,;&|\s]+(?![^()]*\))", part) if piece not in {"", "and", "vs"}]
    if len(several) > 1 and all(_CALL.fullmatch(_without_module(piece)) for piece in several):
        listed = ", ".join(map(repr, several))
        return f"It is one activation each: {' '.join(several)} on the command line, [{listed}] in Python."
    last = _without_module(part)
    match = _CALL.fullmatch(last)
    if last == part or not match:
        return ""
    near = [known for known in built_in_names("catalogue") if known.replace("_", "") == _squeezed(match["name"])]
    if not near:
        return f"Names have no module before them. {GRAMMAR}"
    parameters = f"({match['arguments']})" if match["arguments"] else ""
    foreign = next((_FOREIGN[key] for key in _FOREIGN if key in parameters), "")
    return f"Did you mean '{near[0]}{'' if foreign else parameters}'?{' ' if foreign else ''}{foreign}"


def _is_balanced(text: str) -> bool:
    """Return whether every parenthesis that is closed in a text is opened in it before."""
    depth = 0
    for mark in text:
        depth += (mark == "(") - (mark == ")")
        if depth < 0:
            return False
    return True


def _without_module(part: str) -> str:
    return re.sub(r"^([A-Za-z_]\w*\.)+(?=[A-Za-z_])", "", part)


def _squeezed(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")
