"""The morph: a trained model on its way from the activations it has to others, step by step, with a way back.

    morph = actlab.Morph(model, {"relu": "gelu"}, total=500, data=batches)
    optimizer = torch.optim.Adam(morph.parameters(), lr=3e-4)
    for x, y in loader:
        loss(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        morph.step()
    morph.finish()

The swap is made first, with all its checks; then a blend of old and new blend_sites in each place until the way is gone (``anneal * total``
steps). From then on the model holds the new functions and nothing else: it is what :func:`actlab.swap_` would have made of it, with other
weights. :func:`actlab.morph_` does all of this, and measures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from actlab.errors import LayerError, SiteError
from actlab.nn.sites.dry_run import Inputs, copy_inputs, run, no_side_effects
from actlab.nn.training.rule_schedule import Curve
from actlab.nn.transforms.morph.blend_sites import BlendSite, gated_blocks_of, insert_blends
from actlab.nn.transforms.morph.fold_scale import fold_scale_
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit
from actlab.nn.transforms.morph.output_matching import OutputMatch, init_gated_blocks, match_outputs
from actlab.nn.transforms.selection import Wanted
from actlab.nn.transforms.swap import apply_swap

__all__ = ["Morph"]


class Morph:
    """A model between two sets of activations.

    Attributes:
        model: the model.
        changes: what is swapped, as :func:`actlab.swap_` returns it.
        matches: factors of the new functions' outputs, by path.
        takeovers: how near gated blocks begin, by path of the activation.
        total: steps of the whole.
        anneal: steps until only the new functions are left.
        done: steps taken.
        merged: whether only the new functions are left.

    Args:
        model: a trained model; changed in place.
        swaps: as for :func:`actlab.swap_`, whose checks and messages hold.
        example_inputs: likewise; the first of ``data`` if not given.
        total: steps of the whole, from 1 up.
        anneal: share of the steps in which the old functions go; 0 for a blunt swap.
        learned: each site learns its pace.
        data: calibration inputs as the model takes them. With them the outputs' scales are match_outputs, and gated blocks begin near the blocks
            that they replace; without, scales are left and gated blocks begin as drawn.
        curve: maps the share of the ``anneal`` steps that is done to the share of the new function, from 0 to 1; ``s (2 - s)`` if not
            given: fast at first, and slow where the last of the old function goes, which a straight line takes away too fast.
        generator: as for :func:`actlab.swap_`.
        fast: as for :func:`actlab.swap_`.

    Raises:
        SiteError: as :func:`actlab.swap_`; or an old function cannot be run beside the new one. The model is as it was.
        SpecError: a spec cannot be read.
        LayerError: a number of steps or a share makes no sense.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> net = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
        >>> morph = Morph(net, "gelu", total=4, anneal=0.5)
        >>> for _ in range(4):
        ...     print(morph.share, type(net[1]).__name__)
        ...     morph.step()
        0.0 Blend
        0.75 Blend
        1.0 ActivationLayer
        1.0 ActivationLayer
        >>> morph.undo()
        >>> net[1]
        ReLU()
    """

    def __init__(
        self,
        model: nn.Module,
        swaps: Wanted,
        example_inputs: Inputs | None = None,
        *,
        total: int,
        anneal: float = 0.2,
        learned: bool = False,
        data: Iterable[Inputs] = (),
        curve: Curve | None = None,
        generator: torch.Generator | None = None,
        fast: bool = False,
    ) -> None:
        _check(total, anneal)
        calibration = list(data)
        if example_inputs is None and calibration:
            example_inputs = calibration[0]
        self.model = model
        self.total = total
        self.anneal = round(anneal * total)
        self.learned = learned
        self.curve: Curve = curve or _early
        self.done = 0
        self.merged = False
        self._before = {key: value.detach().clone() for key, value in model.state_dict().items()}
        known = {id(p) for p in model.parameters()}
        swap = apply_swap(model, swaps, example_inputs, generator=generator, fast=fast)
        self.changes = swap.changes
        blocks = gated_blocks_of(swap)
        self._blend_sites: list[BlendSite] = []
        self.takeovers: dict[str, GatedBlockInit] = {}
        self.matches: dict[str, OutputMatch] = {}
        try:
            self._blend_sites = insert_blends(swap, blocks, learned=learned)
            self._rehearse(example_inputs)
            if calibration and example_inputs is not None:
                self.takeovers = init_gated_blocks(swap, self._blend_sites, blocks, calibration)
                self.matches = match_outputs(swap, self._blend_sites, blocks, example_inputs, calibration)
        except BaseException:  # Ctrl-C too: with blends in half of its places it is no model to go on with
            self.undo()
            raise
        self._set_scales()
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.new_parameters = [p for p in self._parameters if id(p) not in known]
        self._set_share()

    # ------------------------------------------------------------------------------------------ going on

    @property
    def share(self) -> float:
        """How far the way has been gone, from 0 to 1."""
        return 1.0 if self.done >= self.anneal else float(self.curve(self.done / self.anneal))

    def parameters(self) -> list[nn.Parameter]:
        """Return what an optimizer should train: the model's parameters, those of the new functions, and the paces that are learned.

        It is the same list from the beginning to the end, so that an optimizer's state fits whenever it is loaded; parameters that have
        left the model get no gradients any more, and optimizers pass over them.
        """
        return list(self._parameters)

    def step(self) -> None:
        """Go on by one step, after the optimizer's; where the way ends, what belongs to the old functions leaves the model."""
        self.done += 1
        self._set_share()

    def _set_share(self) -> None:
        if self.merged:
            return
        if self.done >= self.anneal:
            self.finish()
            return
        for blend_site in self._blend_sites:
            blend_site.blend.set_share(self.share)

    def _set_scales(self) -> None:
        blends = {blend_site.path: blend_site.blend for blend_site in self._blend_sites}
        for match in self.matches.values():
            blends[match.path].set_scale(match.scale, keep=bool(match.folded))

    def finish(self) -> None:
        """Leave the new functions alone in the model, wherever on the way it is, and fold the scales that can be folded."""
        if self.merged:
            return
        for match in self.matches.values():
            fold_scale_([self.model.get_submodule(path) for path in match.folded], match.scale)
        for blend_site in self._blend_sites:
            blend_site.insert_new()
        self.merged = True

    def undo(self) -> None:
        """Take everything back: the old functions, and all weights and statistics as they were before the morph, to the bit.

        Raises:
            SiteError: it was undone already, or something was changed on top of it.
        """
        if not self.merged:
            for blend_site in self._blend_sites:
                blend_site.insert_new()
        self.changes.undo()
        self.model.load_state_dict(self._before)
        self.merged = True

    @property
    def paths(self) -> dict[str, str]:
        """Where each new function is in the model, by the path of the site that it took: calls become submodules."""
        names = {id(module): path for path, module in self.model.named_modules()}
        return {
            blend_site.path: names[id(blend_site.blend.new)]
            for blend_site in self._blend_sites
            if id(blend_site.blend.new) in names
        }

    # -------------------------------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs beside ``model.state_dict()``; it loads with ``weights_only=True``."""
        return {
            "done": self.done,
            "total": self.total,
            "anneal": self.anneal,
            "merged": self.merged,
            "paths": [blend_site.path for blend_site in self._blend_sites],
            "matches": [asdict(match) for match in self.matches.values()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where another morph of the same model and swaps was. Load the model's and the optimizer's state after this.

        Raises:
            LayerError: the state is of other sites, or of an earlier point than one at which the old functions have left.
        """
        missing = {"done", "total", "anneal", "merged", "paths", "matches"} - state.keys()
        if missing:
            raise LayerError(f"This is no state of a morph: {', '.join(sorted(missing))} missing.")
        paths = [blend_site.path for blend_site in self._blend_sites]
        if state["paths"] != paths:
            raise LayerError(
                f"The state is of a morph of {', '.join(state['paths'])}; this one is of {', '.join(paths)}. "
                "Build it on the same model with the same swaps."
            )
        if self.merged and not state["merged"]:
            raise LayerError(
                "The old functions have left this model, and the state wants them back. Build the model and the morph anew."
            )
        self.done, self.total, self.anneal = int(state["done"]), int(state["total"]), int(state["anneal"])
        self.matches = {match["path"]: OutputMatch(**match) for match in state["matches"]}
        self._set_scales()
        if state["merged"]:
            self.finish()
        self._set_share()

    def __repr__(self) -> str:
        return f"Morph({self.share:.3g} of the way after {self.done} of {self.total} steps)\n{self.changes}"

    # ----------------------------------------------------------------------------------------- beginning

    def _rehearse(self, example_inputs: Inputs | None) -> None:
        """Run the model half way, where both functions run."""
        if example_inputs is None:
            return
        for blend_site in self._blend_sites:
            blend_site.blend.set_share(0.5)
        with no_side_effects(self.model):
            try:
                run(self.model, copy_inputs(example_inputs))
            except SiteError as error:
                raise SiteError(
                    f"The model does not run with old and new functions side by side, so the swap was taken back. {error}"
                ) from error
        for blend_site in self._blend_sites:
            blend_site.blend.set_share(0.0)


def _early(share: float) -> float:
    return share * (2 - share)


def _check(total: int, anneal: float) -> None:
    if isinstance(total, bool) or not isinstance(total, int) or total < 1:
        raise LayerError(f"total is the number of steps of the morph, from 1 up; got {total!r}.")
    if not 0 <= anneal <= 1:
        raise LayerError(
            f"anneal is the share of the steps in which the old functions go, from 0 to 1; got {anneal!r}."
        )
