"""The takers of an activation's output: whether all of them are layers with weights, which can compute it themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torch import nn

from actlab.nn.sites.find import Entry, Survey
from actlab.nn.sites.trace import PRODUCTS, Run, Step, Token, Trace

__all__ = ["reason_not_deferrable"]

_FUNCTIONS: Final = frozenset({"linear", "conv1d", "conv2d", "conv3d"})
_FORWARDS: Final = {cls.forward for cls in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)}


def reason_not_deferrable(model_survey: Survey, entries: Sequence[Entry]) -> dict[str, str | None]:
    """Say by path why a layer after a site cannot compute its activation, or None where it can.

    Args:
        model_survey: the model, with its trace in training.
        entries: the sites in question. An activation of an activation can be deferred with the one after it.
    """
    trace = model_survey.trace or Trace()
    reasons: dict[str, str | None] = {}
    deferred: set[int] = set()
    for entry in reversed(entries):
        found = (_Consumers(model_survey, trace, deferred).complaint(run.result) for run in entry.runs)
        reasons[entry.site.path] = next((words for words in found if words), None)
        if reasons[entry.site.path] is None:
            deferred |= {id(run) for run in entry.runs}
    return reasons


class _Consumers:
    def __init__(self, model_survey: Survey, trace: Trace, deferred: set[int]) -> None:
        self.model_survey = model_survey
        self.trace = trace
        self.deferred = deferred

    def complaint(self, token: Token) -> str | None:
        """Say what is wrong with those who take a value, or return None."""
        users = self.trace.users.get(token, [])
        if not users:
            return "nothing but the model's caller takes its output"
        if token in self.trace.returned:
            return "the model returns its output, too"
        products = [self.complaint(product) for product in self.trace.products.get(token, [])]
        return next((words for user in users if (words := self._of(user))), None) or next(filter(None, products), None)

    def _of(self, user: Run | Step | str) -> str | None:
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
