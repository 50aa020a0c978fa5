"""Reasons why the layers after an activation cannot recompute it in the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import nn

from actlab.nn.passes.value_flow import PRODUCTS
from actlab.nn.sites.find import Entry, Survey
from actlab.nn.sites.trace import Run, Step, Token, Trace

__all__ = ["reason_not_deferrable"]

_FUNCTIONS: Final = frozenset({"linear", "conv1d", "conv2d", "conv3d"})
_FORWARDS: Final = {cls.forward for cls in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)}


def reason_not_deferrable(model_survey: Survey, entries: Sequence[Entry]) -> dict[str, str | None]:
    """Return by path why the layers after a site cannot recompute its activation, or None where they can.

    Args:
        model_survey: the sites of the model, with a trace in training mode.
        entries: the sites to check. An activation that feeds another one can be deferred together with it.
    """
    trace = model_survey.trace or Trace()
    reasons: dict[str, str | None] = {}
    deferred: set[int] = set()
    for entry in reversed(entries):
        consumers = _Consumers(model_survey, trace, deferred)
        obstacles = (consumers.obstacle(run.result) for run in entry.runs)
        reasons[entry.site.path] = next((obstacle for obstacle in obstacles if obstacle), None)
        if reasons[entry.site.path] is None:
            deferred |= {id(run) for run in entry.runs}
    return reasons


class _Consumers:
    def __init__(self, model_survey: Survey, trace: Trace, deferred: set[int]) -> None:
        self.model_survey = model_survey
        self.trace = trace
        self.deferred = deferred

    def obstacle(self, token: Token) -> str | None:
        """Return why a consumer of a value cannot recompute it, or None."""
        users = self.trace.users.get(token, [])
        if not users:
            return "nothing but the model's caller takes its output"
        if token in self.trace.returned:
            return "the model returns its output, too"
        products = [self.obstacle(product) for product in self.trace.products.get(token, [])]
        return next((reason for user in users if (reason := self._of_user(user))), None) or next(
            filter(None, products), None
        )

    def _of_user(self, user: Run | Step | str) -> str | None:
        if isinstance(user, Run):
            return None if id(user) in self.deferred else f"{user.running.name} takes its output"
        if isinstance(user, str):
            return None if user in _FUNCTIONS or user in PRODUCTS else f"{user} takes its output"
        return self._of_layer(user.module)

    def _of_layer(self, module: nn.Module) -> str | None:
        name = f"{self.model_survey.paths.get(id(module), ['?'])[0]} ({type(module).__name__})"
        if type(module).forward not in _FORWARDS:
            return f"{name}, which takes its output, is a special layer"
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            return f"{name}, which takes its output, has hooks"
        if id(module) in self.model_survey.compiled:
            return f"{name}, which takes its output, is compiled"
        if getattr(module, "padding_mode", "zeros") != "zeros" or isinstance(getattr(module, "padding", 0), str):
            return f"{name} pads its output first"
        return None
