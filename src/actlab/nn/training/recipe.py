"""Training recipe with optimizer, learning-rate schedule, clipping and rule schedules in one step()."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, pi
from typing import Any

import torch
from torch import nn

from actlab.errors import LayerError
from actlab.nn.training.clipping import clip_gradients_, clip_latents_
from actlab.nn.training.rule_schedule import Schedule
from actlab.nn.training.staged_binarization import StagedBinarization

__all__ = ["Recipe"]


class Recipe:
    """A model in training, with its optimizer, clipping and schedules.

    Attributes:
        model: the model.
        optimizer: Adam over all parameters, fused where torch can.
        schedules: schedules of gradient-rule parameters.
        stages: staged binarisation, or None.
        done: steps done.

    Args:
        model: any module, binary or not: a baseline trains in the same way.
        total: number of training steps, from 1 up.
        learning_rate: the highest one; linear warm-up over a twentieth of the steps, then cosine decay to zero.
        max_norm: norm to which the gradients of each module are clipped; None for no clipping.
        schedules: each advances by one with every step.
        stages: staged binarisation, which advances by one as well.

    Raises:
        LayerError: ``total`` is not an integer from 1 up.

    Example:
        >>> recipe = Recipe(nn.Linear(2, 1), total=100)
        >>> recipe.model(torch.ones(1, 2)).sum().backward()
        >>> sorted(recipe.step())
        ['']
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        total: int,
        learning_rate: float = 1e-3,
        max_norm: float | None = 1.0,
        schedules: Sequence[Schedule] = (),
        stages: StagedBinarization | None = None,
    ) -> None:
        if isinstance(total, bool) or not isinstance(total, int) or total < 1:
            raise LayerError(f"total is the number of steps of the training, from 1 up; got {total!r}.")
        self.model = model
        self.total = total
        self.learning_rate = learning_rate
        self.max_norm = max_norm
        self.schedules = tuple(schedules)
        self.stages = stages
        self.done = 0
        parameters = list(model.parameters())
        fused = all(p.dtype in {torch.float32, torch.float64} and p.device.type in {"cpu", "cuda"} for p in parameters)
        self.optimizer = torch.optim.Adam(parameters, lr=learning_rate, fused=fused or None)
        self._set_rate()

    def _set_rate(self) -> None:
        warm_up = max(self.total // 20, 1)
        share = min(max(self.done - warm_up, 0) / max(self.total - warm_up, 1), 1.0)
        rate = self.learning_rate * min((self.done + 1) / warm_up, 1.0) * (1 + cos(pi * share)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self) -> dict[str, float]:
        """After ``backward()``: clip gradients, update weights, clip latent weights, clear gradients, advance the schedules.

        Returns:
            The gradient norm of each module before clipping, by path; empty without clipping.
        """
        norms = {} if self.max_norm is None else clip_gradients_(self.model, self.max_norm)
        self.optimizer.step()
        clip_latents_(self.model)
        self.optimizer.zero_grad()
        self.done += 1
        self._set_rate()
        for schedule in self.schedules:
            schedule.step()
        if self.stages is not None:
            self.stages.step()
        return norms

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint needs besides ``model.state_dict()``; it loads with ``weights_only=True``."""
        return {
            "done": self.done,
            "total": self.total,
            "optimizer": self.optimizer.state_dict(),
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "stages": None if self.stages is None else self.stages.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the progress of a recipe with the same arguments.

        Raises:
            LayerError: the state has a different number of schedules, or stages only on one side.
        """
        if len(state.get("schedules", ())) != len(self.schedules) or (state.get("stages") is None) != (
            self.stages is None
        ):
            raise LayerError(
                f"The state has {len(state.get('schedules', ()))} schedules and {'no ' * (state.get('stages') is None)}stages, "
                f"this recipe {len(self.schedules)} and {'no ' * (self.stages is None)}stages; build it with the same arguments."
            )
        self.done, self.total = int(state["done"]), int(state["total"])
        self.optimizer.load_state_dict(state["optimizer"])
        for schedule, schedule_state in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(schedule_state)
        if self.stages is not None:
            self.stages.load_state_dict(state["stages"])
        self._set_rate()
