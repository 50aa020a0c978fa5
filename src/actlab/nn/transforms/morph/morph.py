"""Blend the activations of a trained model into others over its training steps.

    morph = actlab.Morph(model, {"relu": "gelu"}, total=500, data=batches)
    optimizer = torch.optim.Adam(morph.parameters(), lr=3e-4)
    for x, y in loader:
        loss(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()
        morph.step()
    morph.finish()

The swap is made first, with all its checks; then a blend of old and new runs at each site for ``anneal * total`` steps. After that the
model holds the new functions only: it has the modules that :func:`actlab.swap_` would have given it, with other weights.
:func:`actlab.morph_` adds the training loop, evaluation and early stopping.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Unpack

from torch import nn

from actlab.errors import LayerError, SiteError
from actlab.nn.sites.dry_run import Inputs, copy_inputs, no_side_effects, run
from actlab.nn.training.rule_schedule import Curve
from actlab.nn.transforms.morph.blend_sites import BlendSite, gated_blocks_of, insert_blends
from actlab.nn.transforms.morph.fold_scale import fold_scale_
from actlab.nn.transforms.morph.gated_block_init import GatedBlockInit
from actlab.nn.transforms.morph.output_matching import OutputMatch, init_gated_blocks, match_outputs
from actlab.nn.transforms.morph.settings import BlendOptions, BlendSettings
from actlab.nn.transforms.selection import Wanted
from actlab.nn.transforms.swap import AppliedSwap, apply_swap
from actlab.system.options import from_options

__all__ = ["Morph"]


class Morph:
    """A trained model whose activations are blended into others, step by step.

    Attributes:
        model: the model.
        changes: what is swapped, as :func:`actlab.swap_` returns it.
        matches: factors of the new functions' outputs, by path.
        takeovers: how the gated blocks were initialized, by path of the activation.
        total: number of steps.
        anneal: number of steps after which only the new functions are left.
        done: steps done.
        merged: whether only the new functions are left.

    Args:
        model: a trained model; changed in place.
        swaps: as for :func:`actlab.swap_`, with the same checks and messages.
        example_inputs: as for :func:`actlab.swap_`; None for the first of ``data``.
        total: number of steps, from 1 up.
        data: calibration inputs as the model takes them. With them the outputs are scaled and gated blocks fitted to what they replace;
            without, outputs keep their scale and gated blocks their random weights.
        settings: see :class:`~actlab.nn.transforms.morph.settings.BlendSettings`.
        options: fields of ``settings`` by name, such as ``anneal=0.5``; they take precedence.

    Raises:
        SiteError: as :func:`actlab.swap_`; or an old function cannot run beside the new one. The model is as it was.
        SpecError: a spec cannot be read.
        LayerError: ``total`` or ``anneal`` is out of range.

    Example:
        >>> import torch
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
        data: Iterable[Inputs] = (),
        settings: BlendSettings | None = None,
        **options: Unpack[BlendOptions],
    ) -> None:
        chosen = from_options(BlendSettings, settings, options)
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            raise LayerError(f"total is the number of steps of the morph, from 1 up; got {total!r}.")
        calibration = list(data)
        if example_inputs is None and calibration:
            example_inputs = calibration[0]
        self.model = model
        self.total = total
        self.anneal = round(chosen.anneal * total)
        self.learned = chosen.learned
        self.curve: Curve = chosen.curve or _fast_start
        self.done = 0
        self.merged = False
        self._before = {key: value.detach().clone() for key, value in model.state_dict().items()}
        known = {id(p) for p in model.parameters()}
        swap = apply_swap(model, swaps, example_inputs, generator=chosen.generator, fast=chosen.fast)
        self.changes = swap.changes
        self._blend_sites: list[BlendSite] = []
        self.takeovers: dict[str, GatedBlockInit] = {}
        self.matches: dict[str, OutputMatch] = {}
        try:
            self._start(swap, example_inputs, calibration)
        except BaseException:  # includes KeyboardInterrupt: a model with some of its blends is unusable
            self.undo()
            raise
        self._set_scales()
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self.new_parameters = [p for p in self._parameters if id(p) not in known]
        self._set_share()

    def _start(self, swap: AppliedSwap, example_inputs: Inputs | None, calibration: Sequence[Inputs]) -> None:
        """Insert the blends, try them, and fit them to the old functions."""
        blocks = gated_blocks_of(swap)
        self._blend_sites = insert_blends(swap, blocks, learned=self.learned)
        self._rehearse(example_inputs)
        if calibration and example_inputs is not None:
            self.takeovers = init_gated_blocks(swap, self._blend_sites, blocks, calibration)
            self.matches = match_outputs(swap, self._blend_sites, blocks, example_inputs, calibration)

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
                    f"The model does not run with old and new functions side by side, so the swap was undone. {error}"
                ) from error
        for blend_site in self._blend_sites:
            blend_site.blend.set_share(0.0)

    # ------------------------------------------------------------------------------------------- stepping

    @property
    def share(self) -> float:
        """How far the blend has gone, from 0 (old functions) to 1 (new ones)."""
        return 1.0 if self.done >= self.anneal else float(self.curve(self.done / self.anneal))

    def parameters(self) -> list[nn.Parameter]:
        """Return what an optimizer should train: the model's parameters, those of the new functions, and learned paces.

        The list stays the same throughout, so that an optimizer's state can be loaded at any step; parameters that have left the model
        get no gradients, and optimizers skip them.
        """
        return list(self._parameters)

    def step(self) -> None:
        """Advance by one step, after the optimizer's; at the last step of the blend the old functions are removed."""
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
        """Remove the old functions now, at whatever step, and fold the scales that can be folded."""
        if self.merged:
            return
        for match in self.matches.values():
            fold_scale_([self.model.get_submodule(path) for path in match.folded], match.scale)
        for blend_site in self._blend_sites:
            blend_site.insert_new()
        self.merged = True

    def undo(self) -> None:
        """Restore the old functions, and all weights and statistics as they were before the morph, to the bit.

        Raises:
            SiteError: it was undone already, or the model was changed again afterwards.
        """
        if not self.merged:
            for blend_site in self._blend_sites:
                blend_site.insert_new()
        self.changes.undo()
        self.model.load_state_dict(self._before)
        self.merged = True

    @property
    def paths(self) -> dict[str, str]:
        """Path of each new function, by the path of the site that it replaced: calls become submodules."""
        names = {id(module): path for path, module in self.model.named_modules()}
        return {
            blend_site.path: names[id(blend_site.blend.new)]
            for blend_site in self._blend_sites
            if id(blend_site.blend.new) in names
        }

    # -------------------------------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides ``model.state_dict()``; it loads with ``weights_only=True``."""
        return {
            "done": self.done,
            "total": self.total,
            "anneal": self.anneal,
            "merged": self.merged,
            "paths": [blend_site.path for blend_site in self._blend_sites],
            "matches": [asdict(match) for match in self.matches.values()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the progress of a morph of the same model and swaps. Load the model's and the optimizer's state after this.

        Raises:
            LayerError: the state is of other sites, or is from before the old functions were removed and here they are removed.
        """
        missing = {"done", "total", "anneal", "merged", "paths", "matches"} - state.keys()
        if missing:
            raise LayerError(f"Not the state of a morph: {', '.join(sorted(missing))} missing.")
        paths = [blend_site.path for blend_site in self._blend_sites]
        if state["paths"] != paths:
            raise LayerError(
                f"The state is of a morph of {', '.join(state['paths'])}; this one is of {', '.join(paths)}. "
                "Build it on the same model with the same swaps."
            )
        if self.merged and not state["merged"]:
            raise LayerError(
                "The old functions have been removed from this model, and the state needs them. Build the model and the morph again."
            )
        self.done, self.total, self.anneal = int(state["done"]), int(state["total"]), int(state["anneal"])
        self.matches = {match["path"]: OutputMatch(**match) for match in state["matches"]}
        self._set_scales()
        if state["merged"]:
            self.finish()
        self._set_share()

    def __repr__(self) -> str:
        return f"Morph({self.share:.3g} of the way after {self.done} of {self.total} steps)\n{self.changes}"


def _fast_start(share: float) -> float:
    return share * (2 - share)
