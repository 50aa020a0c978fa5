"""Replace smooth activations of a trained model by ReLU (relufication) and measure sparsity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Unpack

from torch import Tensor, nn

from actlab.errors import SiteError
from actlab.functions.spec import Spec
from actlab.nn.passes.model_argument import takes_model
from actlab.nn.probes.batch import input_of
from actlab.nn.probes.probe import probe
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import find
from actlab.nn.transforms.morph.finetune import Recovery, morph_
from actlab.nn.transforms.morph.settings import MorphOptions, MorphSettings
from actlab.nn.transforms.selection import Key
from actlab.system.options import from_options

__all__ = ["SMOOTH", "Relufication", "relufy_"]

#: What each function is replaced by: functions close to ReLU that are zero only at the origin.
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
    """Quality and output sparsity before and after a relufication.

    Attributes:
        recovery: quality before, after a blunt swap, and now; with ``undo()``.
        before: share of exact zeros in each changed activation's output of the original model, by path.
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
        """Restore the original model, see :meth:`Recovery.undo`."""
        self.recovery.undo()


@takes_model
def relufy_(
    model: nn.Module,
    loader: Iterable[Any],
    loss: Callable[[Any, Any], Tensor] | None = None,
    *,
    evaluate: Callable[[nn.Module], float],
    batches: int = 4,
    settings: MorphSettings | None = None,
    **options: Unpack[MorphOptions],
) -> Relufication:
    """Replace every smooth activation of a trained model by ReLU (GEGLU and SwiGLU by ReGLU), fine-tune it, and measure the zeros.

    That many outputs are zero after fine-tuning, at nearly the old quality: Mirzadeh et al. 2023, arXiv:2310.04564. Zeros save time only
    where a kernel skips them; ActLab has no such kernel.

    Args:
        model: a trained model; changed in place.
        loader: as for :func:`actlab.morph_`.
        loss: as for :func:`actlab.morph_`.
        evaluate: as for :func:`actlab.morph_`.
        batches: number of batches on which zeros are counted.
        settings: as for :func:`actlab.morph_`.
        options: as for :func:`actlab.morph_`.

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
        >>> result = relufy_(net, batches, nn.functional.mse_loss, evaluate=error, direction="min", steps=40)
        >>> result.before["1"], 0.3 < result.after["1"] < 0.7
        (0.0, True)
    """
    swaps = _smooth_sites(model)
    chosen = from_options(MorphSettings, settings, options)
    inputs = chosen.inputs or input_of
    before = _zeros(model, loader, batches, inputs)
    recovery = morph_(model, swaps, loader, loss, evaluate=evaluate, settings=chosen)
    new_paths = recovery.morph.paths if recovery.morph else {}
    after = _zeros(model, loader, batches, inputs)
    return Relufication(
        recovery=recovery,
        before={path: share for path, share in before.items() if path in new_paths},
        after={path: after[new] for path, new in new_paths.items() if new in after},
    )


def _smooth_sites(model: nn.Module) -> dict[Key, str | Spec]:
    """Return what each smooth activation of the model is replaced by, by name."""
    sites = find(model)
    swaps: dict[Key, str | Spec] = {
        name: SMOOTH[name] for name in (site.name for site in sites) if name and name in SMOOTH
    }
    if not swaps:
        names = ", ".join(sorted({str(site.name) for site in sites})) or "none"
        raise SiteError(
            f"{type(model).__name__} has no activation that relufication is for: its activations are {names}; replaced are "
            f"{', '.join(SMOOTH)}. For others name both functions: morph_(model, {{'tanh': 'relu'}}, ...)."
        )
    return swaps


def _zeros(model: nn.Module, loader: Iterable[Any], batches: int, inputs: Callable[[Any], Inputs]) -> dict[str, float]:
    """Return the share of zeros by path of the site, the mean over the points where it was measured."""
    shares: dict[str, list[float]] = {}
    for row in probe(model, loader, batches=batches, inputs=inputs, rank=False).rows:
        shares.setdefault(row.path, []).append(row.sparsity)
    return {path: sum(values) / len(values) for path, values in shares.items()}
