"""Division of a study's trials into stacks, for the trainer that the study has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from actlab.studies.plan import Plan
from actlab.studies.stackable import obstacle
from actlab.studies.stacked.trainer_choice import TrainerChoice
from actlab.studies.store.store import Store, TrialKey
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions

__all__ = ["CHOICE_LIMIT", "Stacking"]

_log = logging.getLogger(__name__)

CHOICE_LIMIT = 120.0  # seconds after which a process that compares the trainers is ended; it takes less than one
_FEWEST_TRIALS = 4  # of a study for which trainers are compared


class Stacking:
    """The trainer of a study and the stacks that it makes. A study has one trainer: the store keeps what was chosen.

    Args:
        store: has the study's facts.
        study: id of the study in it.
        plan: its plan.
        task: its task.
        conditions: of its trials.
        stack: whether stacks are asked for; None for where they are faster.
    """

    def __init__(
        self, store: Store, study: int, *, plan: Plan, task: Task, conditions: Conditions, stack: bool | None
    ) -> None:
        self._store, self._study, self._asked_for = store, study, bool(stack)
        self._alone: set[TrialKey] = set()  # trials whose stack could not be computed
        stored = store.facts(study).get("trainer")
        self.choice: TrainerChoice | None = None
        if stack is False:
            self.choose(TrainerChoice(stacked=False, reason="as asked for"))
        elif (reason := obstacle(task, conditions)) is not None:  # also where another device had none
            self.choose(TrainerChoice(stacked=False, reason=reason))
        elif stored is not None and not (stack and not stored["stacked"]):
            self.choice = TrainerChoice.from_dict(stored)
        elif len(plan.arms) * len(plan.seeds) < _FEWEST_TRIALS and not stack:
            self.choose(TrainerChoice(stacked=False, reason="it has few trials"))

    @property
    def is_due(self) -> bool:
        """Whether the trainers are still to be compared, by a process of the study, before its first trial."""
        return self.choice is None

    def choose(self, choice: TrainerChoice) -> None:
        """Keep the choice, here and in the store."""
        self.choice = choice
        if self._asked_for and not choice.stacked:
            _log.warning("The trials cannot be trained as stacks (%s); they run one by one.", choice.reason)
        self._store.set_fact(self._study, "trainer", choice.to_dict())

    def refuse(self, keys: Iterable[TrialKey], reason: str) -> None:
        """Have trials run singly whose stack could not be computed."""
        refused = list(keys)
        self._alone.update(refused)
        _log.warning("A stack of %d trials could not be computed (%s); they run one by one.", len(refused), reason)

    def next_order(self, keys: Sequence[TrialKey], free: int) -> tuple[list[TrialKey], int]:
        """Return trials of which the first that are free are ordered together, and how many; none but one if it is no stack.

        Trials of one stack have one stage, and arms that are alike but for their activations. The trials that can run now are divided
        between the free processes.

        Args:
            keys: trials that can run now, the most urgent first.
            free: number of processes that wait for an order.
        """
        choice = self.choice
        group = None if choice is None else self._group(keys[0])
        if choice is None or group is None:
            return [key for key in keys if self._group(key) is None], 1
        alike = [key for key in keys if key.stage == keys[0].stage and self._group(key) == group]
        seeds = list(dict.fromkeys(key.seed for key in alike))[: choice.seeds]
        fitting = [key for key in alike if key.seed in seeds]
        return fitting, min(choice.models, -(-len(fitting) // max(1, free)))

    def is_stacked(self, key: TrialKey) -> bool:
        """Return whether a trial is trained by the stacked trainer."""
        return self._group(key) is not None

    def _group(self, key: TrialKey) -> int | None:
        if self.choice is None or not self.choice.stacked or key in self._alone:
            return None
        return self.choice.groups.get(key.arm)
