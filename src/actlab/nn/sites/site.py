"""Record of a place in a model where an activation runs, and the list of those of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from actlab.system.display import Displayed

__all__ = ["Site", "Sites"]


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place in a model where an activation runs.

    Attributes:
        path: unique text: ``features.1`` for a module, ``block.act`` for a function held as an attribute, ``block.forward:F.relu@2`` for
            the second call of ``F.relu`` in the method ``forward`` of ``block``.
        name: registered name of the function that runs; None where it is not registered.
        spec: canonical spec, parameters included; None where they are not known, or differ from call to call.
        kind: "module" or "function".
        where: file and line of a call, class of a module.
        shape: shape of the input in its first call; None without example inputs, or where nothing ran.
        calls: how often it runs in one forward pass; None without example inputs and in TorchScript, whose calls cannot be observed; 0
            where the pass took another branch.
        channels: number of units of the layer that feeds it: size of dimension ``channel_dim`` of its input. None if that is unknown or
            differs from call to call.
        channel_dim: dimension of these units: that of the layer's output, counted from the end and followed through transposing, reshaping
            and norms (-1 behind a Linear). 1, as torch has it for PReLU, where no layer is known to feed it.
        replaceable: whether :func:`swap_` can put a layer here.
        reason: why no layer can be put here; None if one can.
        output: whether the model returns its result; such a site is replaced only when it is named by its path.
        aliases: further paths of a module that is shared or inside a compiled one (``_orig_mod.features.1`` is ``features.1`` as well).
        depth: number, from 0, among the sites that are replaceable and no output, in order of execution (of definition without example
            inputs); None for the others.
        shapes: distinct shapes of its inputs, in order of appearance.
        written: spec according to the module or the source, or the name where the parameters are not written; None where only a run
            shows that there is a site.
        seconds: duration of its calls in one forward pass; None where it was not timed, or is a part of one call of torch.
        share: share of the time of the forward pass.
        warning: where torch may run another function here than the one that is written.
    """

    path: str
    name: str | None
    spec: str | None
    kind: Literal["module", "function"]
    where: str
    shape: tuple[int, ...] | None = None
    calls: int | None = None
    channels: int | None = None
    channel_dim: int | None = None
    replaceable: bool = True
    reason: str | None = None
    output: bool = False
    aliases: tuple[str, ...] = ()
    depth: int | None = None
    shapes: tuple[tuple[int, ...], ...] = ()
    written: str | None = None
    seconds: float | None = None
    share: float | None = None
    warning: str | None = None


class Sites(Displayed, list[Site]):
    """The sites of a model: a list that is printed as a table.

    Attributes:
        model: name of the model's class.
    """

    def __init__(self, sites: Iterable[Site] = (), *, model: str = "model") -> None:
        super().__init__(sites)
        self.model = model
