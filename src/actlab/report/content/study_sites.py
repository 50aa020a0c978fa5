"""Sentence and rows about the activation sites of a study's model, swapped or left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from actlab.report.content.format import plural

__all__ = ["HEADINGS", "SIZE", "site_rows", "site_sentence"]

SIZE = "values per batch"
HEADINGS = ("site", "function", SIZE, "in the arms")

StudySite = Mapping[str, Any]
_NAMED_ROLES = ("gate", "attention", "output")
_SHOWN = 6


def site_rows(sites: Sequence[StudySite]) -> list[tuple[str, str, str, str]]:
    """Return path, function, number of values and treatment in the arms of every site.

    Args:
        sites: mappings with the fields of :class:`actlab.studies.site_list.StudySite`.

    Example:
        >>> site = {"path": "act", "function": "relu", "elements": 1024, "role": "main function", "swapped_by": ["gelu"], "reason": ""}
        >>> site_rows([site])
        [('act', 'relu', '1,024', 'swapped')]
    """
    idle = "did not run" if any(site["elements"] for site in sites) else "unknown"  # a model without inputs was not run
    return [
        (site["path"], site["function"], f"{site['elements']:,}" if site["elements"] else idle, _treatment(site))
        for site in sites
    ]


def _treatment(site: StudySite) -> str:
    swapped = "swapped" if not site["reason"] else f"swapped by {', '.join(site['swapped_by'])}"
    if not site["swapped_by"]:
        return f"left: {_why(site)}"
    return swapped if not site["reason"] else f"{swapped}; left by others: {_why(site)}"


def _why(site: StudySite) -> str:
    return f"{site['role']}, {site['reason']}" if site["role"] in _NAMED_ROLES else str(site["reason"])


def site_sentence(sites: Sequence[StudySite]) -> str:
    """Return which sites arms swap and which they leave; empty where they swap all, or the sites are not known.

    Example:
        >>> swapped = {"path": "act", "function": "relu", "elements": 9, "role": "main function", "swapped_by": ["gelu"], "reason": ""}
        >>> left = {"path": "gate", "function": "sigmoid", "elements": 9, "role": "gate", "swapped_by": [], "reason": "it multiplies"}
        >>> site_sentence([swapped, left])
        'Arms swap relu at 1 site of 2. Left as they are: sigmoid (gate).'
    """
    left = [site for site in sites if not site["swapped_by"]]
    if not left:
        return ""
    swapped = [site for site in sites if site["swapped_by"]]
    functions = ", ".join(dict.fromkeys(site["function"] for site in swapped))
    kinds = Counter(f"{site['function']} ({site['role']})" for site in left)
    texts = [kind if count == 1 else f"{count} x {kind}" for kind, count in kinds.items()]
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return (
        f"Arms swap {functions} at {plural(len(swapped), 'site')} of {len(sites)}. "
        f"Left as they are: {', '.join(texts[:_SHOWN])}{more}."
    )
