"""Frozen study plan and its fingerprint, the identity of a study."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Unpack

from actlab.errors import PlanError
from actlab.evaluate.axis_registry import axes_named
from actlab.functions.activation import Activation
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.functions.spec_objects import recognised_text
from actlab.nn.layers.own_layer import OwnCode
from actlab.studies.arm import EVERY_SITE, Arm, ArmLike, Assignment, parse_arm
from actlab.studies.rungs import GRID, HALVING, Rung
from actlab.studies.settings import (
    TUNING_SEEDS,
    StudyOptions,
    StudySettings,
    check_choice,
    number_between,
    parse_seeds,
    parse_sites,
)
from actlab.system.options import from_options
from actlab.tasks import registry
from actlab.tasks.task import Direction, Task
from actlab.tasks.training_function.user_functions import code_text, names_read, values_text

__all__ = ["Plan", "make_plan", "parse_arms", "task_digest", "task_name"]

Init = Literal["fixed", "matched"]
Tuning = Literal["grid", "halving"]

_PROTOCOL = 1  # incremented when the same plan would give other numbers
# The default region of practical equivalence of earlier builds, whatever the metric.
_EARLIER_ROPE = 0.005


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A frozen plan, built by :func:`make_plan`. Its fields are stored as JSON and are part of the fingerprint.

    Attributes:
        task: name of the task.
        file: path of the user's file that defines it, or None; not part of the identity.
        task_source: digest of the text that defines the task.
        arms: the compared arms, with the baseline.
        baseline: label of the arm with which the others are compared.
        seeds: in the order in which they run; seeds can be added later, all else is fixed.
        init: "fixed" keeps the model's own initialisation, "matched" uses the gain of each activation.
        tune: None, or "lr" when every arm's learning rate is tuned on the same grid, without the test split.
        tuning: "halving" when that is by successive halving; "grid" when all rates are trained to the end, as in plans of version 0.1 and
            where a training of the user's own has a length that cannot be cut. Part of the identity only if it is not "grid".
        alpha: error rate of the whole study.
        rope: region of practical equivalence, in the metric's units; None for the one that follows from the metric, see
            :func:`actlab.studies.verdict.region.find_region`.
        eliminate: whether arms are eliminated as soon as the evidence allows.
        decay_learned: whether weight decay acts on the learned numbers of activations; part of the identity only if it does not.
        definitions: pairs of name and formula, of activations and (with a slash before the name) of gradient rules, so that a
            changed formula is another plan.
        metric: name of the metric.
        direction: "max" or "min".
        evaluate: what names each axis on which trained models are judged; part of the identity only if there are any.
    """

    task: str
    task_source: str
    arms: tuple[Arm, ...]
    baseline: str
    seeds: tuple[int, ...]
    init: Init = "fixed"
    tune: Literal["lr"] | None = None
    tuning: Tuning = "grid"
    alpha: float = 0.05
    rope: float | None = 0.0
    eliminate: bool = True
    decay_learned: bool = True
    definitions: tuple[tuple[str, str], ...] = ()
    metric: str = "metric"
    direction: Direction = "max"
    file: str | None = None
    evaluate: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the arms, in the plan's order."""
        return tuple(arm.label for arm in self.arms)

    @property
    def sites(self) -> tuple[str, ...]:
        """Patterns of the sites that arms of a single spec swap; none for those of the model's main function."""
        return next((arm.sites for arm in self.arms if arm.is_one_spec), EVERY_SITE)

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """Rungs on which every arm's learning rate is tuned; none where it is not."""
        if self.tune is None:
            return ()
        return GRID if self.tuning == "grid" else HALVING

    @property
    def tuning_trials(self) -> int:
        """Largest number of trials in which learning rates are tuned."""
        return len(self.arms) * len(TUNING_SEEDS) * sum(rung.rates for rung in self.rungs)

    def arm(self, label: str) -> Arm:
        """Return the arm with a label."""
        return next(arm for arm in self.arms if arm.label == label)

    def summary(self) -> dict[str, Any]:
        """Return the settings that a verdict or a report shows, with the labels of the arms."""
        return {
            "task": self.task,
            "metric": self.metric,
            "direction": self.direction,
            "arms": self.labels,
            "baseline": self.baseline,
            "site_patterns": self.sites,
            "seeds": self.seeds,
            "init": self.init,
            "tune": self.tune,
            "alpha": self.alpha,
            "rope": self.rope,
        }

    def identity(self) -> dict[str, Any]:
        """Return everything in which two plans of the same study must agree, which is all but the seeds and the file's path."""
        fields = self._fields()
        del fields["seeds"], fields["file"]
        if self.rope is None:  # plans of before the default depended on the metric keep their fingerprint
            fields["rope"] = _EARLIER_ROPE
        if self.decay_learned:  # plans of before this setting keep their fingerprint
            del fields["decay_learned"]
        for arm in fields["arms"]:  # as do plans of before the choice of sites
            if arm["sites"] == EVERY_SITE:
                del arm["sites"]
        return {"protocol": _PROTOCOL, **json.loads(json.dumps(fields))}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the identity as canonical JSON, in hexadecimal. Reports show the first 12 digits."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the plan as JSON text; the inverse of :meth:`from_json`."""
        return json.dumps(self._fields())

    def _fields(self) -> dict[str, Any]:
        """Return the fields without those that earlier builds do not know, where these have the only value that there was."""
        added = {"tuning": "grid", "evaluate": ()}
        return {name: value for name, value in asdict(self).items() if name not in added or value != added[name]}

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Return the plan that :meth:`to_json` wrote."""
        fields = json.loads(text)
        arms = tuple(map(_arm, fields.pop("arms")))
        definitions = tuple((name, formula) for name, formula in fields.pop("definitions"))
        fields |= {name: tuple(fields.get(name, ())) for name in ("seeds", "evaluate")}
        return cls(arms=arms, definitions=definitions, **fields)

    def differences(self, stored: Plan) -> list[str]:
        """Return one text for each setting in which this plan differs from a stored one, seeds aside."""
        now, before = self.identity(), stored.identity()
        now["rope"], before["rope"] = self._rope_beside(stored), stored.rope
        names = [name for name in {**before, **now} if now.get(name) != before.get(name)]
        if "arms" in names and not _redefined(before.get("definitions"), now["definitions"]):
            names = [name for name in names if name != "definitions"]  # they are those of other arms
        stored_task = task_name(stored)
        return [
            f"the store has an earlier protocol of {stored.task}; the task {stored_task!r} is that one"
            if name == "task_source" and stored_task != stored.task
            else _difference(name, before.get(name), now.get(name))
            for name in names
        ]

    def _rope_beside(self, stored: Plan) -> float | None:
        """Return the region; that of a stored plan where none is asked for and the stored one is the default of its build."""
        return stored.rope if self.rope is None and stored.rope == _EARLIER_ROPE else self.rope


def _arm(stored: Mapping[str, Any]) -> Arm:
    return Arm(stored["label"], _assignment(stored["assignment"]), tuple(stored.get("sites", EVERY_SITE)))


def _assignment(value: Any) -> Assignment:
    return value if isinstance(value, str) else tuple((pattern, spec) for pattern, spec in value)


def _difference(name: str, stored: Any, now: Any) -> str:
    if name == "task_source":
        return "the task's code has changed"
    if name == "arms" and _labels(stored) == _labels(now):
        return (
            f"sites that arms swap: {_sites_text(stored)} in the store, {_sites_text(now)} now; --sites '*' swaps every one that fits, as "
            "earlier versions did"
        )
    if name == "arms":
        return f"arms: {_labels(stored)} in the store, {_labels(now)} now"
    if name == "definitions":
        return f"the formula of {', '.join(_redefined(stored, now)) or 'an activation'} has changed"
    if name == "tuning":
        stored, now = ("all rates to the end" if tuning is None else "successive halving" for tuning in (stored, now))
        return f"tuning of the learning rate: {stored} in the store, {now} now"
    if name == "rope":
        stored, now = ("the one that follows from the metric" if rope is None else rope for rope in (stored, now))
        return f"rope: {stored} in the store, {now} now"
    return f"{name}: {stored!r} in the store, {now!r} now"


def _redefined(stored: Any, now: Any) -> list[str]:
    """Return the activations that are in both plans and have another definition now."""
    known = dict(stored or [])
    return sorted({name for name, definition in now if known.get(name, definition) != definition})


def _sites_text(arms: Any) -> str:
    """Return which sites arms of a single spec swap, from the arms of an identity."""
    patterns = next((arm["sites"] for arm in arms if "sites" in arm), EVERY_SITE)
    return " ".join(patterns) or "those of the main function"


def _labels(arms: Any) -> str:
    return ", ".join(arm["label"] for arm in arms or ())


def make_plan(
    task: Task, arms: Iterable[ArmLike], *, settings: StudySettings | None = None, **options: Unpack[StudyOptions]
) -> Plan:
    """Return a plan with all settings checked.

    A plan knows no model. Without ``sites`` its arms swap every site that fits, and without ``baseline`` the first arm is it;
    :func:`actlab.studies.prepare.draft` chooses both from the model.

    Args:
        task: the task on which the arms are compared.
        arms: specs, maps from site patterns to specs, or "unchanged".
        settings: settings of the plan; the defaults if not given.
        options: fields of :class:`~actlab.studies.settings.StudySettings`, in the place of those of ``settings``.

    Raises:
        PlanError: a setting is not allowed; the message says what is.

    Example:
        >>> from actlab.tasks import resolve
        >>> plan = make_plan(resolve("digits"), ["gelu", "silu"], baseline="relu", seeds=3)
        >>> plan.labels, plan.baseline, plan.seeds
        (('relu', 'gelu', 'silu'), 'relu', (0, 1, 2))
    """
    chosen = from_options(StudySettings, settings, options)
    all_arms, baseline = _arms_and_baseline(arms, chosen)
    check_choice("init", chosen.init, ("fixed", "matched"))
    check_choice("tune", chosen.tune, (None, "lr", "lr-grid"))
    rope = task.rope if chosen.rope is None else chosen.rope
    return Plan(
        task=task.name,
        file=task.file,
        metric=task.metric_name,
        direction=task.direction,
        task_source=task_digest(task),
        arms=all_arms,
        baseline=baseline.label,
        seeds=parse_seeds(chosen.seeds),
        init="matched" if chosen.init == "matched" else "fixed",
        tune=None if chosen.tune is None else "lr",
        tuning="halving" if chosen.tune == "lr" and _can_be_shortened(task) else "grid",
        alpha=number_between(chosen.alpha, 0, 1, "alpha", "the error rate of the study, 0.05 for 5 %"),
        rope=None
        if rope is None
        else number_between(rope, -1e-300, math.inf, "rope", f"in units of {task.metric_name}"),
        eliminate=bool(chosen.eliminate),
        decay_learned=bool(chosen.decay_learned),
        definitions=_definitions(all_arms),
        evaluate=tuple(axis.source for axis in axes_named(chosen.evaluate)),
    )


def parse_arms(arms: Iterable[ArmLike], sites: str | Sequence[str] | None = None) -> tuple[Arm, ...]:
    """Return the arms, each single spec for the sites of these patterns; for every site that fits if none are given.

    Raises:
        PlanError: there is no list of arms, no arm in it, or no valid pattern.
    """
    if isinstance(arms, str | Spec | Mapping) or not isinstance(arms, Iterable) or recognised_text(arms) is not None:
        raise PlanError(f"The arms are a list of at least two, like ['relu', 'gelu']; got {arms!r}.")
    patterns = EVERY_SITE if sites is None else parse_sites(sites)
    parsed = tuple(parse_arm(arm, patterns) for arm in arms)
    if not parsed:
        raise PlanError("There is nothing to compare: name at least two activations, like relu gelu.")
    return parsed


def _arms_and_baseline(arms: Iterable[ArmLike], chosen: StudySettings) -> tuple[tuple[Arm, ...], Arm]:
    parsed = parse_arms(arms, chosen.sites)
    patterns = next(
        (arm.sites for arm in parsed if arm.is_one_spec),
        EVERY_SITE if chosen.sites is None else parse_sites(chosen.sites),
    )
    labelled = {arm.label: arm for arm in parsed}
    if isinstance(chosen.baseline, str) and chosen.baseline in labelled:
        reference = labelled[chosen.baseline]
    else:
        reference = parsed[0] if chosen.baseline is None else parse_arm(chosen.baseline, patterns)
    if reference.label not in labelled:
        parsed = (reference, *parsed)
    _check_labels([arm.label for arm in parsed])
    return parsed, reference


def _check_labels(labels: list[str]) -> None:
    duplicates = sorted({label for label in labels if labels.count(label) > 1})
    if duplicates:
        raise PlanError(f"The same arm is named twice: {', '.join(duplicates)} (canonical text). Leave one out.")
    if len(labels) < 2:
        raise PlanError(f"Only one arm, {labels[0]}: a comparison needs two. Name another activation, or a baseline.")


def task_digest(task: Task, *, values: bool = True) -> str:
    """Return the digest of a task's source and settings.

    For a Task built in code it is that of the byte code of its functions and, unless ``values`` is false as in earlier builds, of
    :func:`~actlab.tasks.training_function.user_functions.values_text`; other objects, large tensors and files are not in it.
    """
    settings = (
        task.learning_rate,
        task.batch_size,
        task.epochs,
        task.steps,
        task.shuffle,
        task.direction,
        task.metric_name,
    )
    text = task.source or _code_of(task, values=values)
    more = {name: value for name, value in task.extensions.items() if isinstance(value, int | float | str)}
    return hashlib.sha256(f"{text}\n{settings}{more or ''}".encode()).hexdigest()


def _can_be_shortened(task: Task) -> bool:
    """Return whether a trial can run a share of its steps: in the loop of ActLab, and where a training function asks for the share."""
    return task.door == "loop" or (task.train is not None and "steps_share" in (names_read(task.train) or ()))


def _code_of(task: Task, *, values: bool) -> str:
    if task.train is not None:
        return code_text(filter(None, (task.model, task.train, task.example_inputs)))
    functions = [getattr(task, name) for name in ("model", "data", "loss", "metric", "optimizer")]
    more = [value for value in task.extensions.values() if callable(value)]
    own = values_text([*functions, *more, *(task.metrics or {}).values()]) if values else ""
    lines = [*map(_code, [*functions, *more]), *(f"{name} {_code(it)}" for name, it in (task.metrics or {}).items())]
    return "\n".join([*lines, own] if own else lines)


def task_name(plan: Plan) -> str:
    """Return the name with which the task of a plan is resolved; an earlier protocol of a built-in task has one of its own.

    Example:
        >>> from actlab.tasks import resolve
        >>> plan = make_plan(resolve("digits:protocol-1"), ["relu", "gelu"])
        >>> plan.task, task_name(plan)
        ('digits', 'digits:protocol-1')
    """
    earlier = (name for name in registry.earlier_names() if name.startswith(f"{plan.task}:"))
    return next((name for name in earlier if task_digest(registry.resolve(name)) == plan.task_source), plan.task)


def _code(function: Any) -> str:
    """Return byte code and constants of a function, which are the same when a notebook's cell is run again."""
    code = getattr(function, "__code__", None)
    if code is None:
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    constants = [_constant_text(constant) for constant in code.co_consts]
    return f"{code.co_name} {code.co_code.hex()} {code.co_names} {constants}"


def _constant_text(constant: Any) -> str:
    nested_code = getattr(constant, "co_code", None)
    return nested_code.hex() if nested_code is not None else repr(constant)


def _definitions(arms: tuple[Arm, ...]) -> tuple[tuple[str, str], ...]:
    """Return the formulas of all activations and gradient rules, and of the activations whose derivative a rule uses."""
    specs = [parse(spec) for arm in arms for spec in arm.specs()]
    backwards = [spec.backward for spec in specs if spec.backward is not None]
    borrowed = [backward.of for backward in backwards if backward.of is not None]
    records = [spec.activation for spec in (*specs, *borrowed)]
    formulas = {f"{r.name} with its cutoff" if r.is_cut else r.name: _definition(r) for r in records}
    formulas |= {f"/{backward.rule.name}": str(backward.rule.expression) for backward in backwards}
    return tuple(sorted(formulas.items()))


def _definition(record: Activation) -> str:
    """Return the formula; of a user's own module or function the digest of its code."""
    return record.tensor_code.definition if isinstance(record.tensor_code, OwnCode) else str(record.expression)
