r"""Select sites by path, name, pattern or depth, with the spec each one gets.

A key of the mapping is a site or its path, the name or spec of the activation that is there now, or a pattern over paths or names:
``"encoder.*"`` as in a shell, ``r"re:encoder\.layer\.[0-5]\..*"`` or a compiled regular expression, which must match the full text. Or it
is a depth: ``"@0"`` is the first site, ``"@-1"`` the last, ``"@4:"``, ``"@:4"`` and ``"@::2"`` are slices, counted by
:attr:`Site.depth`. The first key that matches a site applies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from actlab.errors import ActlabError, SiteError, did_you_mean
from actlab.functions.activation import get
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.sites.find import Entry, Site, Survey
from actlab.system.plural import plural

__all__ = ["Key", "Selection", "Wanted", "check_selections", "refusal_reason", "select_sites"]

Key = str | Site | re.Pattern[str]
Wanted = str | Spec | Mapping[Key, str | Spec]
_EVERYTHING = "*"
_DEPTH, _REGEX = "@", "re:"


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """A site selected by a key, and its new spec.

    Attributes:
        entry: the site, with its slot in the model.
        spec: the spec it gets.
        key: the key that matches it.
    """

    entry: Entry
    spec: Spec
    key: str

    @property
    def site(self) -> Site:
        """The site."""
        return self.entry.site

    @property
    def by_path(self) -> bool:
        """Whether the key is the path of this very site."""
        return self.key in {self.site.path, *self.site.aliases}


def select_sites(model_survey: Survey, wanted: Wanted) -> list[Selection]:
    """Return the sites to be replaced, each with its key and new spec.

    Args:
        model_survey: the sites of the model.
        wanted: one spec for all, or specs by key.

    Raises:
        SpecError: a spec cannot be read.
        UnknownNameError: a spec names an activation that does not exist.
        SiteError: a key matches no site, a spec can replace nothing, or the model has no sites.
    """
    pairs = wanted.items() if isinstance(wanted, Mapping) else [(_EVERYTHING, wanted)]
    specs = {_key(key): parse(spec) for key, spec in pairs}
    if not specs:
        raise SiteError('The mapping is empty. Give a spec for all sites, or a mapping such as {"relu": "gelu"}.')
    for spec in specs.values():
        if spec.activation.kind == "vector":
            raise SiteError(
                f"{spec} mixes the elements of its input; it cannot take the place of an elementwise function."
            )
        if spec.activation.kind == "complex":
            raise SiteError(
                f"{spec} computes on complex numbers, and a swap replaces functions of real ones. Put it where the values are complex by "
                f"hand: self.act = actlab.layer({str(spec)!r}) in __init__, and self.act(z) in forward."
            )
    if not model_survey.entries:
        raise SiteError(
            f"{type(model_survey.model).__name__} has no activation that can be found. {_advice(model_survey)}".rstrip()
        )
    for key in specs:
        _check(key, model_survey)
    depth = sum(entry.site.depth is not None for entry in model_survey.entries)
    matches = (
        (entry, next((key for key in specs if _matches(key, entry.site, depth)), None))
        for entry in model_survey.entries
    )
    return [Selection(entry=entry, spec=specs[key], key=key) for entry, key in matches if key is not None]


def _key(key: Key) -> str:
    if isinstance(key, re.Pattern):
        return _REGEX + (f"(?{_flags(key)})" if _flags(key) else "") + key.pattern
    if not isinstance(key, (str, Site)):
        raise SiteError(f"A key is a path, a name, a pattern or a site, got {type(key).__name__}: {key!r}.")
    return key.path if isinstance(key, Site) else key


def _flags(pattern: re.Pattern[str]) -> str:
    return "".join(letter for letter in "aimsx" if pattern.flags & getattr(re, letter.upper()))


def _is_pattern(key: str) -> bool:
    return bool(set(key) & set("*?[")) or key.startswith((_DEPTH, _REGEX))


def _check(key: str, model_survey: Survey) -> None:
    sites = [entry.site for entry in model_survey.entries]
    if key.startswith(_DEPTH):
        _check_depth(key, sites)
    if key.startswith(_REGEX):
        _check_regex(key)
    if any(_matches(key, site, sum(site.depth is not None for site in sites)) for site in sites):
        return
    known = {text for site in sites for text in (site.path, site.name) if text}
    listed = ", ".join(sorted(known)[:12]) + (", ..." if len(known) > 12 else "")
    raise SiteError(
        f"No site matches {key!r}.{did_you_mean(key, known)} There are {listed}. {_advice(model_survey)}".rstrip()
    )


def _check_regex(key: str) -> None:
    try:
        re.compile(key.removeprefix(_REGEX))
    except re.error as error:
        raise SiteError(f"{key!r} is not a regular expression: {error}.") from error


def _check_depth(key: str, sites: Sequence[Site]) -> None:
    depth = sum(site.depth is not None for site in sites)
    if not list(_depths(key, depth)):
        raise SiteError(
            f"No site has the depth {key!r}. {plural(depth, 'site')} can be replaced, from @0 to @{depth - 1}; "
            'slices are written like "@2:4", "@:-1" or "@::2".'
        )


def _depths(key: str, depth: int) -> range:
    """Return the depths that a key stands for in a model with this many; empty where the key is malformed."""
    parts = key.removeprefix(_DEPTH).split(":")
    try:
        numbers = [int(part) if part else None for part in parts]
    except ValueError:
        return range(0)
    if len(numbers) == 1:
        index = numbers[0]
        return range(0) if index is None or not -depth <= index < depth else range(index % depth, index % depth + 1)
    return range(depth)[slice(*numbers)] if len(numbers) <= 3 and numbers[2:] != [0] else range(0)


def _advice(model_survey: Survey) -> str:
    if model_survey.trace is not None:
        return ""
    return (
        "Pass example_inputs, so that the model is run and activations that its source does not show are found as well."
    )


def _matches(key: str, site: Site, depth: int) -> bool:
    if key.startswith(_DEPTH):
        return site.depth is not None and site.depth in _depths(key, depth)
    texts = [site.path, *site.aliases, *([site.name] if site.name else [])]
    if key.startswith(_REGEX):
        return any(re.fullmatch(key.removeprefix(_REGEX), text) for text in texts)
    return key in texts or _names_function(key, site) or any(fnmatchcase(text, key) for text in texts)


def _names_function(key: str, site: Site) -> bool:
    """Whether a key denotes the function of a site: an alias, or a spec with its parameters."""
    try:
        return (str(parse(key)) == site.spec) if "(" in key else (get(key).name == site.name)
    except ActlabError:  # neither a name nor a spec: a path or a pattern
        return False


def refusal_reason(selection: Selection) -> str | None:
    """Return why a selected site cannot be replaced, judging by the site alone; None if it can."""
    site, spec = selection.site, selection.spec
    old, new = selection.entry.running.kind, spec.activation.kind
    if site.reason:
        return site.reason
    if site.output and not selection.by_path:
        return "the model returns its result; name it by its path to replace it"
    if old == "gated" and new != "gated":
        return f"{site.name} halves the last dimension and {spec} does not; rebuild the block by hand"
    if spec.needs_channels:
        return _no_channels(site)
    return None


def _no_channels(site: Site) -> str | None:
    """Return why the number of channels of a site is not known, or None."""
    if site.channels is not None:
        return None
    if site.calls is None:
        return "a parameter per channel needs the number of channels; pass example_inputs"
    if site.calls == 0:
        return "a parameter per channel needs the number of channels, and it did not run on example_inputs"
    return f"a parameter per channel needs one number of channels in one dimension; its inputs differ or have none (first {site.shape})"


def check_selections(selections: Sequence[Selection], reasons: Mapping[str, str]) -> None:
    """Raise if a swap would replace less than was asked for.

    Errors are a refused site that is named by its path, a name without wildcards none of whose sites can be replaced, and a swap that
    would replace nothing. With a pattern, the sites that cannot be replaced are skipped.

    Args:
        selections: the sites that were asked for.
        reasons: why a site is not replaced, by path; every other one is.

    Raises:
        SiteError: with the sites and reasons.
    """
    refused = [selection for selection in selections if selection.site.path in reasons]
    named = [selection for selection in refused if selection.by_path]
    if named:
        raise SiteError(f"Cannot replace {_list(named, reasons)}")
    if len(refused) == len(selections):
        raise SiteError(f"Nothing could be replaced: {_list(refused, reasons)}")
    for key in dict.fromkeys(selection.key for selection in refused):
        same_key = [selection for selection in selections if selection.key == key]
        if not _is_pattern(key) and all(selection in refused for selection in same_key):
            raise SiteError(f"Nothing could be replaced for {key!r}: {_list(same_key, reasons)}")


def _list(refused: Iterable[Selection], reasons: Mapping[str, str]) -> str:
    lines = [f"{selection.site.path} ({selection.site.name}): {reasons[selection.site.path]}" for selection in refused]
    return "; ".join(lines[:8]) + (f"; and {len(lines) - 8} more" if len(lines) > 8 else "") + "."
