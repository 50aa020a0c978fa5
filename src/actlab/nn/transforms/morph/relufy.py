"""The relufication: smooth activations of a trained model become ReLU, whose zeros can be skipped; measured before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.spec import Spec
from actlab.nn.probes.batch import input_of
from actlab.nn.probes.probe import probe
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import find
from actlab.nn.transforms.morph.finetune import Recovery, morph_
from actlab.nn.transforms.selection import Key

__all__ = ["SMOOTH", "Relufication", "relufy_"]

#: What becomes ReLU, and what becomes ReGLU: functions that are near ReLU and zero nowhere but at the origin.
SMOOTH: Final[Mapping[str, str]] = {
    "gelu": "relu",
    "gelu_sigmoid": "relu",
    "gelu_tanh": "relu",
    "mish": "relu",
    "silu": "relu",
    "softplus": "relu",
    "swish": "relu",
    "geglu": "reglu",
    "swiglu": "reglu",
}


@dataclass(frozen=True, kw_only=True)
class Relufication:
    """What a relufication has cost and brought.

    Attributes:
        recovery: quality before, after a blunt swap, and now; with ``undo()``.
        before: share of exact zeros in each changed activation's output, by path, as the model came.
        after: the same now.

    Example:
        >>> recovery = Recovery(before=0.91, blunt=0.9, after=0.91, recovered=True, ending="recovered", steps=50, at=50)
        >>> Relufication(recovery=recovery, before={"act": 0.0}, after={"act": 0.62})
        Relufication: 0% of the outputs were zero, 62% are
        Recovery: 0.91 before, 0.9 after a blunt swap, 0.91 after 50 steps (recovered)
    """

    recovery: Recovery
    before: Mapping[str, float]
    after: Mapping[str, float]

    def __repr__(self) -> str:
        old, new = (sum(shares.values()) / max(len(shares), 1) for shares in (self.before, self.after))
        return f"Relufication: {old:.0%} of the outputs were zero, {new:.0%} are\n{self.recovery}"

    def undo(self) -> None:
        """Take everything back, see :meth:`Recovery.undo`."""
        self.recovery.undo()


def relufy_(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Callable[[Any, Any], Tensor] | None = None,
    *,
    evaluate: Callable[[nn.Module], float],
    inputs: Callable[[Any], Inputs] | None = None,
    batches: int = 4,
    **options: Any,
) -> Relufication:
    """Let every smooth activation of a trained model become ReLU (and GEGLU and SwiGLU become ReGLU), and measure the zeros.

    That zeros are many after a fine-tuning, and quality nearly what it was: Mirzadeh et al. 2023, arXiv:2310.04564. Zeros are only worth
    something where a kernel skips them; ActLab has none for that.

    Args:
        model: a trained model; changed in place.
        loader: as for :func:`actlab.morph_`.
        loss: likewise.
        evaluate: likewise.
        inputs: likewise.
        batches: on how many batches zeros are counted.
        options: of :func:`actlab.morph_`.

    Returns:
        Quality and zeros, before and after.

    Raises:
        SiteError: the model has none of these activations (see :data:`SMOOTH`), or as :func:`actlab.morph_`.
        LayerError: as :func:`actlab.morph_`.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(0)
        >>> x = torch.randn(64, 2)
        >>> batches = [(x, x.prod(1, keepdim=True))]
        >>> net = nn.Sequential(nn.Linear(2, 16), nn.SiLU(), nn.Linear(16, 1))
        >>> error = lambda net: float(nn.functional.mse_loss(net(x), batches[0][1]))
        >>> found = relufy_(net, batches, nn.functional.mse_loss, evaluate=error, direction="min", steps=40)
        >>> found.before["1"], 0.3 < found.after["1"] < 0.7
        (0.0, True)
    """
    sites = find(model)
    there: dict[Key, str | Spec] = {
        name: SMOOTH[name] for name in (site.name for site in sites) if name and name in SMOOTH
    }
    if not there:
        names = ", ".join(sorted({str(site.name) for site in sites})) or "none"
        raise SiteError(
            f"{type(model).__name__} has no activation that relufication is for: its activations are {names}, and these become ReLU: "
            f"{', '.join(SMOOTH)}. For others say what is to become what: morph_(model, {{'tanh': 'relu'}}, ...)."
        )
    pick = inputs or input_of
    before = _zeros(model, loader, batches, pick)
    recovery = morph_(model, there, loader, loss, evaluate=evaluate, inputs=inputs, **options)
    places = recovery.morph.paths if recovery.morph else {}
    after = _zeros(model, loader, batches, pick)
    return Relufication(
        recovery=recovery,
        before={path: share for path, share in before.items() if path in places},
        after={path: after[place] for path, place in places.items() if place in after},
    )


def _zeros(model: nn.Module, loader: Iterable[Any], batches: int, inputs: Callable[[Any], Inputs]) -> dict[str, float]:
    """Return the share of zeros by path of the site; a site behind several layers counts its points alike."""
    shares: dict[str, list[float]] = {}
    for row in probe(model, loader, batches=batches, inputs=inputs, rank=False).rows:
        shares.setdefault(row.path, []).append(row.sparsity)
    return {path: sum(found) / len(found) for path, found in shares.items()}
