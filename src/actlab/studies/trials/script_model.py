"""Arm of a trial in the model of a script, within the script's process."""

from __future__ import annotations

import copy
import gc
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from actlab.errors import ActlabError, SiteError
from actlab.nn.passes.model_argument import check_model
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.training.parameter_groups import exempt_in_new_optimizers
from actlab.nn.transforms.init import init_
from actlab.script_request import append_report, is_first_rank, read_request
from actlab.studies.arm import Arm, arm_from_dict
from actlab.studies.arm_model import TriedModel
from actlab.studies.repeated_swap import RepeatedSwap
from actlab.studies.trial_inputs import weights_digest
from actlab.studies.tried_arms import outline_arms

__all__ = ["take_arm"]

_WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "OptimizedModule")
_for_this_process = ExitStack()  # which is one trial


def take_arm(model: nn.Module, example_inputs: Inputs | None) -> None:
    """Do what ActLab asks of the script's process: swap an arm into the model, or try all and end the process.

    Args:
        model: of the script.
        example_inputs: for it, or None.

    Raises:
        ActlabError: an arm does not fit the model.
    """
    request = read_request()
    with _told(), _kept_generators():
        check_model(model, "actlab.apply_")
        _check_unwrapped(model)
        _check_shapes(model)
        seed, is_matched = request["seed"], request["init"] == "matched"
        tried = TriedModel(model=model, batch=example_inputs, seed=seed)
        if request["mode"] == "rehearsal":
            answer = _rehearse(tried, request, is_matched=is_matched)
        else:
            digest = weights_digest(model)
            _apply(tried, arm_from_dict(request["arm"]), is_matched=is_matched)
            if not request["decay_learned"]:
                _for_this_process.enter_context(exempt_in_new_optimizers(model))
            answer = {"kind": "model", "weights": digest, "parameters": _count(model), "versions": _versions(model)}
    answer["time"] = time.monotonic()
    if is_first_rank():
        append_report(answer)
    if request["mode"] == "rehearsal":
        sys.stdout.flush()
        os._exit(0)


@contextmanager
def _told() -> Iterator[None]:
    """Report what is wrong before it is raised in the script, which may hide it."""
    try:
        yield
    except ActlabError as error:
        if is_first_rank():
            append_report({"kind": "error", "text": str(error)})
        raise


@contextmanager
def _kept_generators() -> Iterator[None]:
    """Keep the states of cards' generators; those of the CPU are kept where they are drawn from."""
    is_used = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call] # no annotation
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if is_used else []):
        yield


def _check_unwrapped(model: nn.Module) -> None:
    name = type(model).__name__
    if name in _WRAPPERS or model._compiled_call_impl is not None:
        what = (
            "is compiled already"
            if name == "OptimizedModule" or name not in _WRAPPERS
            else f"is wrapped in {name} already"
        )
        raise SiteError(
            f"The model {what}. Call actlab.apply_(model) before that: after the model is built, before torch.compile, "
            "DistributedDataParallel and the optimizer."
        )


def _check_shapes(model: nn.Module) -> None:
    lazy = next((name for name, weight in model.named_parameters() if is_lazy(weight)), None)
    if lazy is not None:
        raise SiteError(
            f"The weight {lazy} of the model has no shape yet (a lazy module). Run the model once on a batch before actlab.apply_(model)."
        )


def _apply(tried: TriedModel, arm: Arm, *, is_matched: bool) -> None:
    _swap(tried, arm).apply(tried.model, generator=_generator(tried))
    if is_matched:
        init_(tried.model, _inputs_for_init(tried), generator=_generator(tried))


def _swap(tried: TriedModel, arm: Arm) -> RepeatedSwap:
    return RepeatedSwap(structure=None) if arm.is_unchanged else tried.swap(arm)


def _generator(tried: TriedModel) -> torch.Generator:
    return torch.Generator().manual_seed(tried.seed)


def _inputs_for_init(tried: TriedModel) -> Inputs:
    if tried.batch is None:
        raise SiteError(
            "init='matched' draws weights by what runs in the model. Pass a batch: actlab.apply_(model, example_inputs=batch)."
        )
    return tried.batch


def _rehearse(tried: TriedModel, request: Mapping[str, Any], *, is_matched: bool) -> dict[str, Any]:
    """Try all arms; where weights are drawn by what runs, on a copy of the model."""
    arms: Sequence[Arm] = [arm_from_dict(values) for values in request["arms"]]
    found = outline_arms(tried, arms, request["sites"], lambda arm: _fitting_swap(tried, arm))
    has_optimizer = _has_optimizer(tried.model)
    if is_matched or has_optimizer:
        for arm in found.arms:
            with _fitting(arm):
                model = copy.deepcopy(tried.model)
                _apply(TriedModel(model=model, batch=tried.batch, seed=tried.seed), arm, is_matched=is_matched)
                if has_optimizer:
                    _check_same_weights(tried.model, model)
    return {"kind": "sites", **found.to_dict()}


def _has_optimizer(model: nn.Module) -> bool:
    """Return whether an optimizer has weights of the model."""
    weights = {id(weight) for weight in model.parameters()}
    optimizers = [found for found in gc.get_objects() if issubclass(type(found), torch.optim.Optimizer)]
    return any(id(weight) in weights for it in optimizers for group in it.param_groups for weight in group["params"])


def _check_same_weights(before: nn.Module, after: nn.Module) -> None:
    """Check that an optimizer of the model before has all weights of the one after.

    Raises:
        SiteError: the swap brings weights.
    """
    known = {(name, weight.shape) for name, weight in before.named_parameters()}
    new = [name for name, weight in after.named_parameters() if (name, weight.shape) not in known]
    if new:
        raise SiteError(
            f"It brings weights, such as {new[0]}, which an optimizer that was made before would not train. Call actlab.apply_(model) "
            "before the optimizer is made."
        )


def _fitting_swap(tried: TriedModel, arm: Arm) -> RepeatedSwap:
    with _fitting(arm):
        return _swap(tried, arm)


@contextmanager
def _fitting(arm: Arm) -> Iterator[None]:
    try:
        yield
    except ActlabError as error:
        raise SiteError(f"The arm {arm.label} does not fit the model of the script. {error}") from error


def _count(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)


def _versions(model: nn.Module) -> dict[str, str]:
    """Return software, threads and device of this process, as far as they may differ from ActLab's."""
    device = next((weight.device.type for weight in model.parameters()), "cpu")
    versions = {name: version(name) for name in ("actlab", "torch", "numpy")}
    return {**versions, "python": platform.python_version(), "threads": str(torch.get_num_threads()), "device": device}
