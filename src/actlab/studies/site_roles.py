"""Roles of a model's activation sites in a study, such as main function, gate and output."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from torch import nn

from actlab.nn.sites.find import Entry, Survey
from actlab.nn.sites.trace import Trace

__all__ = ["MAIN", "Role", "SiteRole", "find_roles"]

Role = Literal["main function", "another function", "gate", "attention", "output", "not replaceable"]
MAIN: Final = "main function"

_OUTPUT: Final = "the model returns its result"
_GATE: Final = "its result multiplies another value"
_GATED: Final = "it multiplies one half of its input by a function of the other half"
_ATTENTION: Final = "its result is multiplied with another value in a matrix product"


@dataclass(frozen=True, kw_only=True)
class SiteRole:
    """What a site does in its model.

    Attributes:
        path: of the site.
        function: spec that runs there, or the name where the parameters are not known.
        elements: number of inputs of the function in one pass over the example batch; 0 where it did not run.
        role: what it does.
        reason: why arms leave a site of this role; empty for the main function.
    """

    path: str
    function: str
    elements: int
    role: Role
    reason: str = ""


def find_roles(survey: Survey) -> tuple[SiteRole, ...]:
    """Return the role of every site of a model that was run.

    The main function is the hidden one that computes most elements. Hidden is a site that a layer can be put into and that is neither an
    output, nor a gate, nor part of attention. A gate is a bounded, positive or negative function whose result multiplies another value:
    the silu of SwiGLU, which is neither, is no gate but the function of its block. GLU is a gate where there is any other hidden function.

    Example:
        >>> import torch
        >>> from actlab.nn.sites.find import survey
        >>> model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1), nn.Sigmoid())
        >>> [(role.function, role.role) for role in find_roles(survey(model, torch.zeros(3, 2)))]
        [('relu', 'main function'), ('tanh', 'another function'), ('sigmoid', 'output')]
    """
    special = {entry.site.path: _special_role(entry, survey.trace) for entry in survey.entries}
    hidden = [entry for entry in survey.entries if special[entry.site.path] is None]
    elementwise = [entry for entry in hidden if entry.running.kind != "gated"]
    if elementwise:
        special |= {e.site.path: ("gate", _GATED) for e in hidden if e.running.kind == "gated"}
    main = _main_function(elementwise or hidden)
    other = f"it is not {main}, the main function of the model"
    roles = []
    for entry in survey.entries:
        site = entry.site
        role: tuple[Role, str] = (MAIN, "") if site.name == main else ("another function", other)
        role = special[site.path] or role
        function = site.spec or site.name or "?"
        roles.append(
            SiteRole(path=site.path, function=function, elements=_elements(entry), role=role[0], reason=role[1])
        )
    return tuple(roles)


def _special_role(entry: Entry, traced: Trace | None) -> tuple[Role, str] | None:
    """Return the role of a site that is no hidden one, with the reason; None for a hidden one."""
    site, runs = entry.site, set(entry.runs)
    rules = traced.flow.rules if traced is not None else None
    if site.reason:
        mixes = isinstance(entry.slot.owner, nn.MultiheadAttention) or "attention" in site.reason
        is_attention = mixes or (rules is not None and entry.running.kind == "vector" and bool(runs & rules.mixing))
        return "attention" if is_attention else "not replaceable", site.reason
    if site.output or (traced is not None and bool(runs & traced.bounding)):
        return "output", _OUTPUT
    if rules is not None and runs & rules.gates:
        return "gate", _GATE
    if rules is not None and runs & rules.mixing:
        return "attention", _ATTENTION
    return None


def _main_function(hidden: Iterable[Entry]) -> str | None:
    """Return the name of the function with most elements; of two with as many, the one of more sites, then the first."""
    elements, sites = Counter[str](), Counter[str]()
    for entry in hidden:
        if entry.site.name is not None:
            elements[entry.site.name] += _elements(entry)
            sites[entry.site.name] += 1
    return max(sites, key=lambda name: (elements[name], sites[name]), default=None)


def _elements(entry: Entry) -> int:
    return sum(abs(math.prod(run.shape)) for run in entry.runs)
