"""Record of a task, with its model, data, loss, metric, optimizer and training.

Seed s fixes split, order, initial weights and dropout for every arm, so that arms are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from actlab.errors import TaskError, did_you_mean
from actlab.system.name_list import listed
from actlab.tasks.data import Data, as_data
from actlab.tasks.setting_names import nearest_setting, why_no_setting

__all__ = ["OWN_RATE", "Door", "Task", "accuracy", "adam", "load_data"]

Direction = Literal["max", "min"]
#: Who trains: the loop of ActLab, the user's training function, or the user's script.
Door = Literal["loop", "function", "script"]
Parameters = Iterable[nn.Parameter]
#: Learning rate of a task whose training has its own, which ActLab does not know.
OWN_RATE = 0.0


# Fields that plans of version 0.1 did not know; their defaults leave a task, and its fingerprint, as it was.
_EXTENSIONS = (
    "step",
    "predict",
    "metrics",
    "scheduler",
    "clip_norm",
    "accumulate",
    "ema",
    "validate_every",
    "patience",
    "precision",
    "compile",
)


def _absent(*arguments: Any) -> Any:
    """Stand for a function that a task does without, because its own training does that part."""
    raise TaskError(
        f"This task has none of its own functions for this ({len(arguments)} arguments): it trains and evaluates by itself."
    )


# The byte code and the docstrings of `adam` and `accuracy` are part of the fingerprint of a plan whose Task was built in code
# and uses them (`actlab.studies.plan.task_digest`). An edit of either, even of a docstring, makes such stored studies another plan.


def adam(parameters: Parameters, lr: float) -> torch.optim.Optimizer:
    """Adam at torch's defaults, fused where the parameters allow it.

    Fused takes a step of a 40-128-10 net, batch 100, on one core from 1.00 to 0.53 ms.

    Example:
        >>> adam(nn.Linear(2, 1).parameters(), 1e-3).defaults["lr"]
        0.001
    """
    wanted = list(parameters)
    fused = all(p.device.type == "cpu" and p.dtype in {torch.float32, torch.float64} for p in wanted)
    return torch.optim.Adam(wanted, lr=lr, fused=fused or None)


def accuracy(output: Tensor, target: Tensor) -> float:
    """Share of rows whose largest output, shape (n, classes), is the target, shape (n,).

    Example:
        >>> accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        0.5
    """
    return int((output.argmax(1) == target).sum()) / len(target)


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """Training protocol of a trial.

    Attributes:
        name: short, lower case; shown and stored.
        model: called with the seed, returns a new model; torch's global generator is seeded before.
        data: called with the seed, returns :class:`Data` or another form that :func:`as_data` takes.
        loss: of (output, target), returns a scalar tensor.
        metric: of (output, target) of the whole test split, returns a number.
        metric_name: name shown for the result; by default that of the function ``curve_metric``, or ``metric`` where there is none.
        direction: "max" when a larger metric is better, "min" when a smaller one is.
        optimizer: of (parameters, learning rate), returns a torch optimizer.
        learning_rate: of a trial, unless it is tuned; ``OWN_RATE`` for that of a training function or script which does not take it from
            ActLab.
        batch_size: examples per step.
        epochs: passes over the training split.
        steps: largest number of steps, or None for no limit besides ``epochs``.
        shuffle: whether every epoch draws a new order; otherwise batches are taken in the order of the data.
        rope: region of practical equivalence, in the metric's units: differences smaller than this do not matter. None for half a
            percentage point of a share such as the accuracy, and 1 % of the size of any other metric.
        curve_metric: of the list of all step losses, returns a number; if given, it is the result of a trial instead of ``metric``.
        step: of (model, batch), returns the loss; in the place of ``loss(model(x), y)`` where a batch is no pair, or a model takes more.
        predict: of (model, batch), returns outputs and targets for the metrics; goes with ``step``.
        scheduler: of (optimizer, total number of steps), returns a torch scheduler, stepped after every step of the optimizer.
        clip_norm: largest norm of the gradient, or None.
        accumulate: batches whose gradients are averaged for one step of the optimizer.
        ema: decay of the average of the weights that is evaluated, such as 0.999; None for the weights themselves.
        metrics: functions of (output, target) by name; that of ``metric_name`` is the result, the others are recorded beside it.
        validate_every: steps between two evaluations on the validation split.
        patience: evaluations without a better result after which a trial ends, with its best weights; None for none.
        precision: None for the dtype of the model, "bf16", or "fp16" with a gradient scaler.
        compile: whether the model is compiled by ``torch.compile``.
        device: where a trial runs, such as "cuda"; None for the CPU.
        train: the user's own training: of (model, seed, trial), returns the metrics by name; goes with ``metric_name`` and ``direction``.
        example_inputs: of a seed, returns inputs of the model; with ``train``, so that activations are found by a run of the model.
        script: command of the user's own script, with ``{seed}`` where its seed belongs.
        output_kind: what the model gives: "logits", "log_probabilities", "probabilities" or "values"; None for what the loss takes. This
            and the next three are for axes (:mod:`actlab.evaluate`) and change no training.
        input_kind: "image", "table", "series" or "text"; None for what dtype and shape say.
        groups: of the examples, for the worst group and the gap: a column of inputs of shape (n, features), the name of a part of inputs
            with names, or a function of (inputs, targets) that returns one label for each example, shape (n,).
        times: of the examples, for the audit of the splits' order (:func:`actlab.audit`): given as ``groups`` is; numbers, or dates as
            ISO 8601 text.
        out_of_distribution: of a seed, returns inputs that the model was not made for, shape (m, ...), such as another data set.
        description: one sentence.
        source: text that identifies the code which defines the task; part of a plan's fingerprint.
        file: path of the user's file that defines the task, or None.

    Raises:
        TaskError: a field does not exist, or a required one is missing.

    Example:
        >>> def rmse(output, target):
        ...     return (output - target).square().mean().sqrt()
        >>> Task(name="t", model=None, data=None, loss=None, metric=rmse, direction="min").metric_name
        'rmse'
    """

    name: str
    model: Callable[[int], nn.Module] = _absent
    data: Callable[[int], Any] = _absent
    loss: Callable[[Tensor, Tensor], Tensor] = _absent
    metric: Callable[[Tensor, Tensor], float] = _absent
    metric_name: str = ""
    direction: Direction = "max"
    optimizer: Callable[[Parameters, float], torch.optim.Optimizer] = adam
    learning_rate: float = 1e-3
    batch_size: int = 64
    epochs: int = 10
    steps: int | None = None
    shuffle: bool = True
    rope: float | None = None
    curve_metric: Callable[[Sequence[float]], float] | None = None
    step: Callable[[nn.Module, Any], Tensor] | None = None
    predict: Callable[[nn.Module, Any], tuple[Any, Any]] | None = None
    scheduler: Callable[[torch.optim.Optimizer, int], Any] | None = None
    clip_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    metrics: Mapping[str, Callable[[Any, Any], float]] | None = None
    validate_every: int | None = None
    patience: int | None = None
    precision: Literal["bf16", "fp16"] | None = None
    compile: bool = False
    device: str | None = None
    train: Callable[..., Any] | None = None
    example_inputs: Callable[[int], Any] | None = None
    script: str | None = None
    output_kind: Literal["logits", "log_probabilities", "probabilities", "values"] | None = None
    input_kind: Literal["image", "table", "series", "text"] | None = None
    groups: int | str | Callable[[Any, Any], Any] | None = None
    times: int | str | Callable[[Any, Any], Any] | None = None
    out_of_distribution: Callable[[int], Any] | None = None
    description: str = ""
    source: str = ""
    file: str | None = None

    def __new__(cls, **given: Any) -> Task:
        """Refuse fields that do not exist; nothing is given where a stored task is read."""
        if given:
            _check_fields(given, {field.name: _is_required(field.name, given) for field in fields(cls)})
        return super().__new__(cls)

    @property
    def door(self) -> Door:
        """Who trains: "loop" for the loop of ActLab, "function" for ``train``, "script" for ``script``."""
        return "script" if self.script is not None else "function" if self.train is not None else "loop"

    def __post_init__(self) -> None:
        for name, instead in {"loss": self.step, "metric": self.metrics}.items():
            if getattr(self, name) is None and instead is not None:
                object.__setattr__(self, name, _absent)
        if not self.metric_name:
            object.__setattr__(self, "metric_name", self._default_metric_name())

    def _default_metric_name(self) -> str:
        if self.curve_metric is None and self.metrics and self.metric is _absent:
            return str(next(iter(self.metrics)))
        return _function_name(self.curve_metric or self.metric)

    @property
    def result_metric(self) -> Callable[[Any, Any], float]:
        """The function of the result: that of ``metrics`` with the name ``metric_name``, or ``metric``, or the first of ``metrics``.

        Example:
            >>> task = Task(name="t", model=None, data=None, loss=None, metrics={"accuracy": accuracy, "loss": None})
            >>> task.metric_name, task.result_metric is accuracy
            ('accuracy', True)
        """
        return (self.metrics or {}).get(self.evaluated_name, self.metric)

    @property
    def evaluated_name(self) -> str:
        """Name of what is evaluated on a split: the result, or the metric beside one that is made of the training losses.

        Example:
            >>> Task(name="t", model=None, data=None, loss=None, metric=accuracy, curve_metric=min, direction="min").evaluated_name
            'accuracy'
        """
        if self.curve_metric is None or self.metric_name in (self.metrics or {}):
            return self.metric_name
        return str(next(iter(self.metrics))) if self.metrics and self.metric is _absent else _function_name(self.metric)

    @property
    def extensions(self) -> dict[str, Any]:
        """Settings of the training beyond loss, optimizer and length that are not at their defaults, by name.

        Example:
            >>> Task(name="t", model=None, data=None, loss=None, metric=accuracy, ema=0.9).extensions
            {'ema': 0.9}
        """
        defaults = {field.name: field.default for field in fields(self)}
        return {name: getattr(self, name) for name in _EXTENSIONS if getattr(self, name) != defaults[name]}

    @property
    def has_loss(self) -> bool:
        """Whether there is a loss of output and target, and not only a ``step``."""
        return self.loss is not _absent

    @property
    def has_data(self) -> bool:
        """Whether ActLab can load the data, which a training function need not bring."""
        return self.data is not _absent

    @property
    def has_metric(self) -> bool:
        """Whether there is a function of the result."""
        return self.result_metric is not _absent


def _is_required(name: str, given: Mapping[str, Any]) -> bool:
    """Return whether a field must be given: all five parts of the loop, or what the user's own training does not bring itself."""
    if given.get("script") is not None:
        return name == "name"
    if given.get("train") is not None:
        return name in {"name", "model", "metric_name", "direction"}
    has_own = {"loss": "step", "metric": "metrics"}.get(name)
    return name in {"name", "model", "data", "loss", "metric"} and given.get(has_own or "") is None


def _check_fields(given: Mapping[str, Any], required: Mapping[str, bool]) -> None:
    for name in given:
        if name not in required:
            near, why = nearest_setting(name), why_no_setting(name)
            hint = f" Did you mean {near!r}?" if near else f" It {why}." if why else did_you_mean(name, required)
            raise TaskError(f"A Task has no field {name!r}.{hint} Its fields are {', '.join(required)}.")
    missing = [name for name, is_required in required.items() if is_required and name not in given]
    if missing:
        raise TaskError(f"The Task lacks {listed(missing)}. Required are {listed(n for n in required if required[n])}.")


def _function_name(function: Any) -> str:
    """Return the name of a function; of a partial function that of what it calls; of another object that of its class."""
    inner = getattr(function, "func", function)  # functools.partial
    name = getattr(inner, "__name__", type(inner).__name__)
    return "metric" if name == "<lambda>" else str(name)


def load_data(task: Task, seed: int) -> Data:
    """Return the task's data for a seed.

    Raises:
        TaskError: ``task.data`` returned no form of data that :func:`as_data` takes.
    """
    return as_data(task.data(seed), of=task.name, seed=seed, batch_size=task.batch_size, shuffle=task.shuffle)
