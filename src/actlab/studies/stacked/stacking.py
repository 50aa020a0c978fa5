"""Division of a study's trials into stacks, for the trainer that the study has."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from actlab.studies.plan import Plan
from actlab.studies.stackable import obstacle
from actlab.studies.stacked.trainer_choice import TrainerChoice
from actlab.studies.store.store import Store, TrialKey
from actlab.studies.trials.stage import PILOT
from actlab.system.plural import plural
from actlab.tasks.task import Task
from actlab.tasks.training.conditions import Conditions

__all__ = ["CHOICE_LIMIT", "Stacking"]

_log = logging.getLogger(__name__)

CHOICE_LIMIT = 120.0  # seconds after which a process that compares the trainers is ended; it takes less than one
_HOW = {False: "one by one", True: "as stacks"}
_FEWEST_TRIALS = 4  # of a study for which trainers are compared
_COMPARISONS = 2  # a process may be ended from outside


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
        self._comparisons = _COMPARISONS
        self.choice: TrainerChoice | None = None
        if stack is False:
            self.choose(TrainerChoice(stacked=False, reason="as asked for"))
        elif (reason := obstacle(task, conditions)) is not None:  # also where another device had none
            self.choose(TrainerChoice(stacked=False, reason=reason))
        elif (stored := self._stored()) is not None:
            self.choice = stored
        elif len(plan.arms) * len(plan.seeds) < _FEWEST_TRIALS and not stack:
            self.choose(TrainerChoice(stacked=False, reason="it has few trials"))

    @property
    def is_due(self) -> bool:
        """Whether the trainers are still to be compared, by a process of the study, before its first trial."""
        return self.choice is None

    def choose(self, choice: TrainerChoice) -> None:
        """Keep the choice, here and in the store; say so if trials of the study are trained otherwise."""
        before = self._store.facts(self._study).get("trainer")
        if self._asked_for and not choice.stacked:
            _log.warning("The trials cannot be trained as stacks (%s); they run one by one.", choice.reason)
        others = f"; others of this study are trained {_HOW[not choice.stacked]}"
        if before is not None and before["stacked"] != choice.stacked:
            _log.warning(
                "The trials of this study are trained %s (%s) from now on; until now, or in another process, they are trained %s. Their "
                "numbers agree to rounding, which a training can amplify. Choose another --name to keep them apart, or omit --%sstack.",
                _HOW[choice.stacked], choice.reason, _HOW[not choice.stacked], "" if choice.stacked else "no-",
            )  # fmt: skip
        if before is not None and (before["stacked"] != choice.stacked or before["reason"].endswith(others)):
            choice = replace(choice, reason=f"{choice.reason}{others}")
        self.choice = choice
        self._store.set_fact(self._study, "trainer", choice.to_dict())

    def agree(self, choice: TrainerChoice) -> None:
        """Keep the choice, or the one that another process of the study has kept meanwhile: times differ, and a study has one trainer."""
        stored = self._stored()
        self.choose(choice if stored is None else stored)

    def _stored(self) -> TrainerChoice | None:
        """Return the choice in the store, unless it is against what is asked for."""
        stored = self._store.facts(self._study).get("trainer")
        if stored is None or (self._asked_for and not stored["stacked"]):
            return None
        return TrainerChoice.from_dict(stored)

    def give_up(self, reason: str, *, again: bool) -> None:
        """Have the trainers compared again after a comparison without an answer, or else have the trials run one by one."""
        self._comparisons -= 1
        if not again or self._comparisons == 0:
            self.choose(TrainerChoice(stacked=False, reason=reason))

    def refuse(self, keys: Iterable[TrialKey], reason: str) -> None:
        """Have trials run singly whose stack could not be computed; nothing for those that run singly anyway."""
        refused = [key for key in keys if self.is_stacked(key)]
        self._alone.update(refused)
        if refused:
            _log.warning(
                "A stack of %s could not be computed (%s); its trials run one by one.",
                plural(len(refused), "trial"),
                reason,
            )

    def orders(self, keys: Sequence[TrialKey], free: int) -> Iterator[tuple[list[TrialKey], int]]:
        """Yield trials of which the first that are free are ordered together, and how many; the next ones are for when none is free.

        Trials of one stack have one stage, and arms that are alike but for their activations. The trials that can run now are divided
        between the free processes.

        Args:
            keys: trials that can run now, the most urgent first.
            free: number of processes that wait for an order.
        """
        left = list(keys)
        while left:
            fitting, most = self._next_order(left, free)
            yield fitting, most
            ordered = set(fitting)
            left = [key for key in left if key not in ordered]

    def _next_order(self, keys: Sequence[TrialKey], free: int) -> tuple[list[TrialKey], int]:
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
        # a pilot may run before the trainer is known, and is to have the same numbers when it runs later
        if self.choice is None or not self.choice.stacked or key.stage == PILOT or key in self._alone:
            return None
        return self.choice.groups.get(key.arm)
