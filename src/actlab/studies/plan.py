"""The plan: what is compared, on which seeds, by which rules. Frozen; its fingerprint is the study's identity."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from actlab.errors import PlanError, did_you_mean
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.tasks.task import Direction, Task

__all__ = [
    "LR_FACTORS",
    "TUNING_SEEDS",
    "Arm",
    "Assignment",
    "Plan",
    "arm_of",
    "make_plan",
    "parse_budget",
    "read_seeds",
]

Assignment = str | tuple[tuple[str, str], ...]
Init = Literal["fixed", "matched"]

#: Seeds from here up belong to tuning, so that no main trial repeats one.
_FIRST_TUNING_SEED = 1_000_000
TUNING_SEEDS = (_FIRST_TUNING_SEED, _FIRST_TUNING_SEED + 1)
#: What the task's learning rate is multiplied by when it is tuned; the same grid for every arm.
LR_FACTORS = (1 / 9, 1 / 3, 1.0, 3.0, 9.0)
_PROTOCOL = 1  # counts up when the same plan would give other numbers


@dataclass(frozen=True)
class Arm:
    """What is compared: a spec for all sites, or a map from sites to specs.

    Attributes:
        label: canonical text, unique in a plan.
        assignment: a spec, or pairs of site pattern and spec.
    """

    label: str
    assignment: Assignment

    def for_swap(self) -> str | dict[Any, Any]:
        """Return the assignment as ``swap_`` takes it."""
        return self.assignment if isinstance(self.assignment, str) else dict(self.assignment)

    def specs(self) -> tuple[str, ...]:
        """Return the specs it uses."""
        return (self.assignment,) if isinstance(self.assignment, str) else tuple(spec for _, spec in self.assignment)


def arm_of(given: str | Spec | Mapping[str, str | Spec] | Arm) -> Arm:
    """Read an arm: a spec (text or record), a map from site patterns to specs, or an arm.

    Raises:
        PlanError: it is none of these.
        SpecError: a spec cannot be read.
        UnknownNameError: there is no such activation.

    Example:
        >>> arm_of("leaky_relu(0.01)").label, arm_of({"0.*": "gelu", "head": "relu"}).label
        ('leaky_relu', '0.*=gelu; head=relu')
    """
    if isinstance(given, Arm):
        return given
    if isinstance(given, str | Spec):
        label = str(parse(given))
        return Arm(label, label)
    if isinstance(given, Mapping) and given and all(isinstance(pattern, str) for pattern in given):
        pairs = tuple((pattern, str(parse(spec))) for pattern, spec in given.items())
        return Arm("; ".join(f"{pattern}={spec}" for pattern, spec in pairs), pairs)
    raise PlanError(
        f"An arm is a spec like 'gelu' or a map from site patterns to specs; got {type(given).__name__}: {given!r}."
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A frozen plan. Build it with :func:`make_plan`.

    Attributes:
        task: name of the task.
        file: path of the user's file that defines it, or None; where it lies is no part of the identity.
        task_source: digest of the text that defines the task.
        arms: what is compared, the baseline among them.
        baseline: label of the arm that the others are held against.
        seeds: in the order of the rounds; may be extended later, the rest may not change.
        init: "fixed" leaves the model's own initialisation, "matched" sets each function's own gain.
        tune: None, or "lr": every arm gets the same grid of learning rates, judged without the test split.
        alpha: error rate of the whole study.
        rope: region of practical equivalence, in the metric's units.
        eliminate: whether arms leave as soon as the evidence allows.
        definitions: pairs of name and formula, of activations and (with a slash before the name) of gradient rules, so that a
            changed formula is another plan.
        metric: name of the metric.
        direction: "max" or "min".
    """

    task: str
    task_source: str
    arms: tuple[Arm, ...]
    baseline: str
    seeds: tuple[int, ...]
    init: Init = "fixed"
    tune: Literal["lr"] | None = None
    alpha: float = 0.05
    rope: float = 0.0
    eliminate: bool = True
    definitions: tuple[tuple[str, str], ...] = ()
    metric: str = "metric"
    direction: Direction = "max"
    file: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the arms, in the plan's order."""
        return tuple(arm.label for arm in self.arms)

    def arm(self, label: str) -> Arm:
        """Return the arm of that label."""
        return next(arm for arm in self.arms if arm.label == label)

    def identity(self) -> dict[str, Any]:
        """Return all that makes two studies the same study: everything but the number of seeds and the file's place."""
        facts = asdict(self)
        del facts["seeds"], facts["file"]
        return {"protocol": _PROTOCOL, **json.loads(json.dumps(facts))}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the identity as canonical JSON, hexadecimal. The first 12 digits are what is shown."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the plan as JSON text, from which :meth:`from_json` makes an equal one."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan that :meth:`to_json` wrote."""
        facts = json.loads(text)
        arms = tuple(Arm(arm["label"], _assignment(arm["assignment"])) for arm in facts.pop("arms"))
        definitions = tuple((name, formula) for name, formula in facts.pop("definitions"))
        return cls(arms=arms, definitions=definitions, seeds=tuple(facts.pop("seeds")), **facts)

    def differences(self, stored: Plan) -> list[str]:
        """Say in which settings this plan is another study than a stored one."""
        mine, theirs = self.identity(), stored.identity()
        return [_difference(name, theirs.get(name), mine[name]) for name in mine if mine[name] != theirs.get(name)]

    def with_seeds(self, seeds: tuple[int, ...]) -> Plan:
        """Return the same plan on other seeds."""
        return replace(self, seeds=seeds)


def _assignment(value: Any) -> Assignment:
    return value if isinstance(value, str) else tuple((pattern, spec) for pattern, spec in value)


def _difference(name: str, stored: Any, now: Any) -> str:
    if name == "task_source":
        return "the task's code has changed"
    if name == "arms":
        return f"arms: {_labels(stored)} in the store, {_labels(now)} now"
    if name == "definitions":
        changed = sorted({pair[0] for pair in now if pair not in (stored or [])})
        return f"the formula of {', '.join(changed) or 'an activation'} has changed"
    return f"{name}: {stored!r} in the store, {now!r} now"


def _labels(arms: Any) -> str:
    return ", ".join(arm["label"] for arm in arms or ())


def make_plan(
    task: Task,
    arms: Iterable[str | Spec | Mapping[str, str | Spec] | Arm],
    *,
    seeds: int | Sequence[int] = 10,
    baseline: str | Spec | Mapping[str, str | Spec] | Arm | None = None,
    init: str = "fixed",
    tune: str | None = None,
    alpha: float = 0.05,
    rope: float | None = None,
    eliminate: bool = True,
) -> Plan:
    """Build a plan, with every setting checked.

    Args:
        task: what is tried on.
        arms: specs, or maps from site patterns to specs.
        seeds: how many, or which.
        baseline: what the others are held against; added to the arms when it is not among them. The first arm by default.
        init: "fixed" or "matched".
        tune: None or "lr".
        alpha: error rate.
        rope: in the metric's units; the task's own by default.
        eliminate: whether arms leave early.

    Raises:
        PlanError: a setting makes no sense; the message says what is allowed.

    Example:
        >>> from actlab.tasks import resolve
        >>> plan = make_plan(resolve("digits"), ["gelu", "silu"], baseline="relu", seeds=3)
        >>> plan.labels, plan.baseline, plan.seeds
        (('relu', 'gelu', 'silu'), 'relu', (0, 1, 2))
    """
    given = _read_arms(arms)
    held_against = given[0] if baseline is None else arm_of(baseline)
    if held_against.label not in {arm.label for arm in given}:
        given = (held_against, *given)
    _check_arms(given)
    _check_words(init=init, tune=tune)
    return Plan(
        task=task.name,
        file=task.file,
        metric=task.metric_name,
        direction=task.direction,
        task_source=source_of(task),
        arms=given,
        baseline=held_against.label,
        seeds=read_seeds(seeds),
        init="matched" if init == "matched" else "fixed",
        tune="lr" if tune == "lr" else None,
        alpha=_between(alpha, 0, 1, "alpha", "the error rate of the study, 0.05 for 5 %"),
        rope=_between(
            task.rope if rope is None else rope, -1e-300, math.inf, "rope", f"in units of {task.metric_name}"
        ),
        eliminate=bool(eliminate),
        definitions=_definitions(given),
    )


def _read_arms(arms: Iterable[Any]) -> tuple[Arm, ...]:
    if isinstance(arms, str | Spec | Mapping):
        raise PlanError(f"The arms are a list of at least two, like ['relu', 'gelu']; got {arms!r}.")
    given = tuple(arm_of(arm) for arm in arms)
    if not given:
        raise PlanError("There is nothing to compare: name at least two activations, like relu gelu.")
    return given


def _check_arms(arms: tuple[Arm, ...]) -> None:
    labels = [arm.label for arm in arms]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise PlanError(f"The same arm is named twice: {', '.join(twice)} (canonical text). Leave one out.")
    if len(arms) < 2:
        raise PlanError(f"Only one arm, {labels[0]}: a comparison needs two. Name another activation, or a baseline.")


def _check_words(**words: str | None) -> None:
    allowed: dict[str, tuple[str | None, ...]] = {"init": ("fixed", "matched"), "tune": (None, "lr")}
    for name, word in words.items():
        if word not in allowed[name]:
            known = [str(one) for one in allowed[name] if one is not None]
            raise PlanError(
                f"{name} is {word!r}; allowed: {', '.join(map(repr, allowed[name]))}.{did_you_mean(str(word), known)}"
            )


def _between(value: Any, low: float, high: float, name: str, meaning: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low < value < high:
        bounds = "a number from 0 up" if high == math.inf else f"a number between {low} and {high}"
        raise PlanError(f"{name} is {value!r}; allowed is {bounds} ({meaning}).")
    return float(value)


def read_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds: 0, 1, 2, ... for a number of them.

    Raises:
        PlanError: fewer than one, not whole numbers, named twice, or in the range kept for tuning.

    Example:
        >>> read_seeds(3), read_seeds([7, 8])
        ((0, 1, 2), (7, 8))
    """
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= _FIRST_TUNING_SEED:
            raise PlanError(f"seeds is {seeds}; a whole number from 1 up is needed (10 is a good start).")
        return tuple(range(seeds))
    if isinstance(seeds, str | bool) or not isinstance(seeds, Iterable):
        raise PlanError(f"seeds is {seeds!r}; give a number of seeds, like 10, or a list of them, like [0, 1, 2].")
    chosen = tuple(seeds)
    wrong = [
        seed
        for seed in chosen
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _FIRST_TUNING_SEED
    ]
    if wrong or not chosen or len(set(chosen)) < len(chosen):
        raise PlanError(
            f"seeds is {list(chosen)!r}; needed are different whole numbers from 0 to {_FIRST_TUNING_SEED - 1:,}."
        )
    return chosen


def source_of(task: Task) -> str:
    """Return the digest of a task's source and settings; a Task built in code counts by the code of its functions."""
    settings = (
        task.learning_rate,
        task.batch_size,
        task.epochs,
        task.steps,
        task.shuffle,
        task.direction,
        task.metric_name,
    )
    text = task.source or "\n".join(
        _code(getattr(task, name)) for name in ("model", "data", "loss", "metric", "optimizer")
    )
    return hashlib.sha256(f"{text}\n{settings}".encode()).hexdigest()


def _code(function: Any) -> str:
    """Return what identifies a function: its byte code and constants, which survive a rerun of a notebook's cell."""
    code = getattr(function, "__code__", None)
    if code is None:
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    constants = [_code_text(constant) for constant in code.co_consts]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {constants}"


def _code_text(constant: Any) -> str:
    inner = getattr(constant, "co_code", None)
    return inner.hex() if inner is not None else repr(constant)


def _definitions(arms: tuple[Arm, ...]) -> tuple[tuple[str, str], ...]:
    """Return the formula of every activation, of every rule behind a slash, and of what a rule borrows its derivative from."""
    specs = [parse(spec) for arm in arms for spec in arm.specs()]
    backwards = [spec.backward for spec in specs if spec.backward is not None]
    borrowed = [backward.of for backward in backwards if backward.of is not None]
    found = {spec.activation.name: str(spec.activation.expression) for spec in (*specs, *borrowed)}
    found |= {f"/{backward.rule.name}": str(backward.rule.expression) for backward in backwards}
    return tuple(sorted(found.items()))


_BUDGET = re.compile(r"\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|sec|seconds?|m|min|minutes?|h|hours?)?\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parse_budget(budget: str | float | None) -> float | None:
    """Return a budget in seconds: ``"90s"``, ``"10m"``, ``"2h"``, or a number of seconds. None is no limit.

    Raises:
        PlanError: it cannot be read, or is not above 0.

    Example:
        >>> parse_budget("10m"), parse_budget(90)
        (600.0, 90.0)
    """
    if budget is None:
        return None
    match = _BUDGET.fullmatch(str(budget))
    seconds = float(match["number"]) * _SECONDS[(match["unit"] or "s")[0]] if match else math.nan
    if isinstance(budget, bool) or not 0 < seconds < math.inf:
        raise PlanError(
            f"The budget is {budget!r}; allowed are times like 90s, 10m, 2h, or a number of seconds above 0."
        )
    return seconds
