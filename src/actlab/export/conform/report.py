"""Report of the functions that an engine runs, the misses of the candidates, and the cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from actlab.export.metric_cost import Cost
from actlab.system.display import Displayed

__all__ = ["CandidateMiss", "ConformReport", "Miss", "SiteFinding", "Undecided"]


@dataclass(frozen=True, kw_only=True)
class Miss:
    """How far the model's outputs are from the engine's.

    Attributes:
        largest: largest difference of any output number, absolute.
        rms: root of the mean squared difference, over that of the outputs.
        within: whether rounding explains it.
    """

    largest: float
    rms: float
    within: bool


@dataclass(frozen=True, kw_only=True)
class CandidateMiss:
    """A function that was tried at a site.

    Attributes:
        spec: the function.
        what: how it is related to the trained one, such as "its upper limit 6 left out".
        miss: with it in the place of the trained one, and the found ones at all other sites.
    """

    spec: str
    what: str
    miss: Miss


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """A function that the evidence cannot tell from the one that was found.

    Attributes:
        spec: the function.
        low: from where on, below the inputs that reached the site, the two differ; None where they do not.
        high: likewise, above these inputs.
        scale: factor of the example inputs at which the outputs would tell; None where none was found.
    """

    spec: str
    low: float | None
    high: float | None
    scale: float | None

    def __str__(self) -> str:
        sides = [f"below {self.low:.3g}"] if self.low is not None else []
        sides += [f"above {self.high:.3g}"] if self.high is not None else []
        where = f"they differ {' and '.join(sides)}" if sides else "they hardly differ on these inputs"
        more = "" if self.scale is None else f"; the example inputs times {self.scale:g} would tell"
        return f"{self.spec}: {where}{more}"


@dataclass(frozen=True, kw_only=True)
class SiteFinding:
    """What runs at a site.

    Attributes:
        site: path in the model, with the number of the call where there are several; "output 0" for what is behind the model.
        trained: the function that the model was trained with.
        found: the function that explains the engine's outputs best.
        what: how it is related to the trained one; empty where it is that.
        candidates: the best of those that were tried, with the trained one, by their miss.
        tried: number of functions that were tried here.
        low: smallest input that reached the site; None for what is behind the model.
        high: largest one.
        undecided: functions that explain the outputs as well, but are other functions.
        scale: factor of the example inputs from which on the difference shows; None where the examples show it.
    """

    site: str
    trained: str
    found: str
    what: str = ""
    candidates: tuple[CandidateMiss, ...] = ()
    tried: int = 0
    low: float | None = None
    high: float | None = None
    undecided: tuple[Undecided, ...] = ()
    scale: float | None = None

    @property
    def differs(self) -> bool:
        """Whether another function runs."""
        return self.found != self.trained


@dataclass(frozen=True, kw_only=True)
class ConformReport(Displayed):
    """Which functions an engine runs.

    Attributes:
        model: name of the model's class.
        engine: what it was compared with.
        runtime: what ran it, with its version.
        verdict: "conforms", "differs" where other functions explain the outputs, "unexplained" where none does.
        examples: number of example inputs.
        floor: largest difference that rounding explains.
        step: of the engine's output codes, where it is quantised and the step is known.
        quantised: whether the engine is judged by its noise, as it is quantised or computes in half precision.
        trained: miss of the model as it was trained.
        found: miss with the functions that were found.
        explained: share of the squared miss that the found functions explain.
        sites: one finding for each.
        costs: in metrics.
        notes: what else the reader should know, such as sites at which nothing could be tried.
    """

    _in_repr = ("model", "engine", "verdict", "changed")

    model: str
    engine: str
    runtime: str
    verdict: Literal["conforms", "differs", "unexplained"]
    examples: int
    floor: float
    step: float | None
    quantised: bool
    trained: Miss
    found: Miss
    explained: float
    sites: tuple[SiteFinding, ...]
    costs: tuple[Cost, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """Whether the engine computes the model as it was trained."""
        return self.verdict == "conforms"

    @property
    def changed(self) -> dict[str, str]:
        """Site to the function that runs there, where it is another one."""
        return {site.site: site.found for site in self.sites if site.differs}

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON, in which NaN and infinities are text."""
        plain: dict[str, Any] = _plain(asdict(self) | {"changed": self.changed})
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
