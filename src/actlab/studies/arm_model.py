"""Model of an arm for a seed, whose swap is tried once per process and repeated for other seeds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from actlab.errors import SiteError
from actlab.nn.passes.structure import structure_of
from actlab.nn.sites.dry_run import Inputs
from actlab.nn.sites.find import Survey, survey
from actlab.nn.transforms.init import init_
from actlab.nn.transforms.selection import Selection, select_sites
from actlab.nn.transforms.swap import apply_selections
from actlab.studies.arm import Arm
from actlab.studies.repeated_swap import RepeatedSwap
from actlab.studies.site_roles import MAIN, SiteRole, find_roles
from actlab.studies.trial_inputs import weights_digest
from actlab.tasks.isolation import isolated, seed_all
from actlab.tasks.task import Task

__all__ = ["TriedModel", "build_model", "swap_of", "try_arms"]


def build_model(
    task: Task, arm: Arm, seed: int, *, init: str, batch: Inputs | None, digests: dict[str, str] | None = None
) -> nn.Module:
    """Build the task's model for a seed and swap in the arm's activations; call it inside :func:`actlab.tasks.isolation.isolated`.

    The swap is tried on another model first, once per arm and process. The returned model has not run, and the arm "unchanged", or one
    whose functions are there already, gets the model exactly as the task builds it.

    Args:
        task: the task that builds the model.
        arm: activations for its sites.
        seed: of the weights.
        init: "fixed" or "matched".
        batch: first inputs of the training split, as the model takes them; None where there are none, so that its sites are read in the
            source only.
        digests: where the digest of the task's model is entered, as ``weights``.

    Returns:
        The model in training mode.

    Raises:
        ActlabError: the arm does not fit the model.
    """
    seed_all(seed)
    model = task.model(seed)
    if digests is not None and (digest := weights_digest(model)) is not None:
        digests["weights"] = digest
    swap = swap_of(task, arm, seed, batch=batch, like=model)
    swap.apply(model, generator=torch.Generator().manual_seed(seed))  # of the weights that a gated arm adds
    if init == "matched":
        init_(model, _given(batch), generator=torch.Generator().manual_seed(seed))
    return model.train()


def _given(batch: Inputs | None) -> Inputs:
    if batch is None:
        raise SiteError(
            "init='matched' draws weights by what runs in the model, and the task has no inputs for it. Add example_inputs(seed), which "
            "returns a batch as the model takes it."
        )
    return batch


_Key = tuple[Arm, Hashable]
# The latest swap of every arm, by task and form of the batch. Processes that are forked inherit those of the template process.
_SWAPS: Final[WeakKeyDictionary[Task, dict[_Key, RepeatedSwap]]] = WeakKeyDictionary()


def swap_of(
    task: Task, arm: Arm, seed: int, *, batch: Inputs | None, like: nn.Module, tried: TriedModel | None = None
) -> RepeatedSwap:
    """Return the swap of an arm, known from earlier or tried now.

    Args:
        task: the task.
        arm: the arm.
        seed: of the model on which it is tried.
        batch: first inputs of the training split.
        like: a model of the structure for which it is wanted.
        tried: the model on which it is tried; a new one if not given.

    Raises:
        ActlabError: the arm does not fit the model.
    """
    if arm.is_unchanged:
        return RepeatedSwap(structure=None)
    swaps, key = _SWAPS.setdefault(task, {}), (arm, _form(batch))
    known = swaps.get(key)
    if known is None or not known.fits(like):
        swaps[key] = known = (tried or TriedModel.of(task, seed, batch)).swap(arm)
    return known


def _form(batch: Inputs | None) -> Hashable:
    """Return the shapes and dtypes of the tensors in a batch, and how they are nested."""
    leaves, nesting = tree_flatten(batch)
    forms = ((tuple(leaf.shape), leaf.dtype) if isinstance(leaf, Tensor) else type(leaf) for leaf in leaves)
    return tuple(forms), str(nesting)


def try_arms(task: Task, arms: Sequence[Arm], seed: int, *, batch: Inputs | None) -> nn.Module:
    """Try the swaps of arms on one model, so that :func:`build_model` repeats them, and return the model as it was.

    Raises:
        ActlabError: an arm does not fit the model.
    """
    tried = TriedModel.of(task, seed, batch)
    for arm in arms:
        swap_of(task, arm, seed, batch=batch, like=tried.model, tried=tried)
    return tried.model


@dataclass(frozen=True, kw_only=True, eq=False)
class TriedModel:
    """A model of a task on which the swaps of arms are tried, one after the other, and undone.

    Attributes:
        model: the model, in training mode.
        batch: inputs on which it runs; None to read its source instead.
        seed: of its weights.
    """

    model: nn.Module
    batch: Inputs | None
    seed: int

    @classmethod
    def of(cls, task: Task, seed: int, batch: Inputs | None) -> TriedModel:
        """Build a model for a seed; the global generators are left as they are."""
        with isolated(seed):
            return cls(model=task.model(seed).train(), batch=batch, seed=seed)

    @cached_property
    def survey(self) -> Survey:
        """The sites of the model, which is run once."""
        with isolated(self.seed):
            return survey(self.model, self.batch)

    @cached_property
    def roles(self) -> tuple[SiteRole, ...]:
        """The roles of the sites."""
        return find_roles(self.survey)

    @cached_property
    def structure(self) -> Hashable:
        """The structure of the model."""
        return structure_of(self.model)

    def main_sites(self) -> set[str]:
        """Return the paths of the sites of the main function."""
        return {role.path for role in self.roles if role.role == MAIN}

    def swap(self, arm: Arm) -> RepeatedSwap:
        """Try the swap of an arm and undo it.

        Raises:
            ActlabError: the arm does not fit the model.
        """
        structure = self.structure  # before anything is put into the model
        with isolated(self.seed):
            generator = torch.Generator().manual_seed(self.seed)
            selections = self._selections(arm)
            applied = apply_selections(self.survey, selections, self.batch, generator=generator, keep_same=True)
            swap = RepeatedSwap.of(applied, structure)
            applied.changes.undo()
        return swap

    def _selections(self, arm: Arm) -> Sequence[Selection]:
        selections = select_sites(self.survey, arm.for_swap())
        if not arm.is_one_spec or arm.sites:
            return selections
        main = self.main_sites()
        chosen = [selection for selection in selections if selection.site.path in main]
        if not chosen:
            left = "; ".join(f"{role.path} ({role.function}): {role.reason}" for role in self.roles[:8])
            raise SiteError(
                f"{type(self.model).__name__} has no hidden function to swap. {left}. Name sites to swap them all the same, with --sites "
                "or sites=...: a path, a function such as sigmoid, a pattern, or '*' for all."
            )
        return chosen
