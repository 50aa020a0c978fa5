"""Data of a task as axes see it, with the outputs of the model that all axes share."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, Final

import torch
from torch import Tensor, nn

from actlab.errors import TaskError
from actlab.evaluate.input_kind import InputKind, input_kind
from actlab.evaluate.last_layer import recorded_features
from actlab.evaluate.output_kind import (
    OutputKind,
    class_logits,
    counted_classes,
    output_kind,
    takes_distributions,
)
from actlab.evaluate.undefined_axis import UndefinedAxisError
from actlab.nn.sites.dry_run import Inputs
from actlab.tasks.data import Data, Split
from actlab.tasks.loading.batch_parts import inputs_of_call, parts_of
from actlab.tasks.loading.loader import EVALUATION_BATCH, Loader
from actlab.tasks.loading.nested import description, is_named_tuple, joined, mapped, row_count
from actlab.tasks.task import Task
from actlab.tasks.training.evaluation import Predictions, predictions_of
from actlab.tasks.training.placement import placed

__all__ = ["EvaluationData"]

#: Training examples that describe what the model knows, for scores by distance and for ranges.
_REFERENCE: Final = 2_000


class EvaluationData:
    """Data of a task for one trained model. What several axes need is computed once, when the first of them asks.

    Args:
        task: gives loss, metric, and what outputs and inputs are.
        model: trained, in evaluation mode.
        data: its splits.
        seed: of the trial; :meth:`generator` follows from it.
        predictions: outputs and targets of the test split, where they are known; otherwise the model runs.
        build: returns the untrained model of the trial, for axes that train it in another way; None where it is not known.
        learning_rate: of the trial; by default that of the task.

    Example:
        >>> from actlab.tasks import resolve
        >>> from actlab.tasks.task import load_data
        >>> digits = resolve("digits")
        >>> data = EvaluationData(digits, digits.model(0).eval(), load_data(digits, 0))
        >>> data.probabilities.shape, data.input_kind, data.labels.shape
        (torch.Size([360, 10]), 'table', torch.Size([360]))
    """

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        data: Data,
        *,
        seed: int = 0,
        predictions: Predictions | None = None,
        build: Callable[[], nn.Module] | None = None,
        learning_rate: float | None = None,
    ) -> None:
        self.task, self.model, self.splits, self.seed = task, model, data, seed
        #: Examples that the model was run on, forward only, by this object: the cost that axes share.
        self.forward_examples = 0
        self._test, self._build = predictions, build
        #: Learning rate of the trial.
        self.learning_rate = task.learning_rate if learning_rate is None else learning_rate

    def generator(self, purpose: str) -> torch.Generator:
        """Return a new random generator that follows from the seed and a purpose, whatever other axes draw.

        Args:
            purpose: any text, such as "gaussian noise".
        """
        return torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {purpose}".encode()))

    @property
    def device(self) -> str:
        """Device of the model."""
        weight = next(self.model.parameters(), None)
        return "cpu" if weight is None else str(weight.device)

    def untrained(self) -> nn.Module:
        """Return a new model with the weights from which the training began.

        Raises:
            UndefinedAxisError: the model came with its weights.
        """
        if self._build is None:
            raise UndefinedAxisError(
                "the model is trained already, and how it began is not known; name a task in its place"
            )
        return self._build()

    # What the model says of the test split

    @cached_property
    def _predictions(self) -> Predictions:
        return self._test if self._test is not None else self._run(self.splits.test)

    def _run(self, split: Split | Loader) -> Predictions:
        found = predictions_of(self.task, self.model, split)
        self.forward_examples += row_count(found.output)
        return found

    @property
    def outputs(self) -> Any:
        """Outputs of the model for the test split, as it gives them."""
        return self._predictions.output

    @property
    def targets(self) -> Any:
        """Targets of the test split."""
        return self._predictions.target

    @cached_property
    def output_kind(self) -> OutputKind:
        """What the outputs are, see :func:`actlab.evaluate.output_kind.output_kind`."""
        return output_kind(self.task)

    @cached_property
    def _classes(self) -> tuple[Tensor, Tensor]:
        return self._class_logits(self.outputs, self.targets)

    def _class_logits(self, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
        """Return logits and classes of outputs and targets, of what the task counts."""
        has_distributions = takes_distributions(self.task.loss)
        return counted_classes(*class_logits(outputs, targets, self.output_kind, has_distributions=has_distributions))

    @property
    def logits(self) -> Tensor:
        """Unnormalised log-probabilities of the test split by class, float64, shape (n, classes).

        Raises:
            UndefinedAxisError: the task is no classification, or nothing says what its outputs are.
        """
        return self._classes[0]

    @property
    def labels(self) -> Tensor:
        """Class of each test example, int64, shape (n,)."""
        return self._classes[1]

    @cached_property
    def log_probabilities(self) -> Tensor:
        """Logarithms of the probabilities of the test split, float64, shape (n, classes)."""
        return self.logits.log_softmax(1)

    @cached_property
    def probabilities(self) -> Tensor:
        """Probabilities of the test split by class, float64, shape (n, classes)."""
        return self.log_probabilities.exp()

    @cached_property
    def predicted(self) -> Tensor:
        """Class with the largest probability of each test example, int64, shape (n,)."""
        return self.logits.argmax(1)

    @property
    def correct(self) -> Tensor:
        """Whether each test example is classified correctly, bool, shape (n,)."""
        return self.predicted == self.labels

    @cached_property
    def validation(self) -> tuple[Tensor, Tensor]:
        """Logits and classes of the validation split, as ``logits`` and ``labels``; the test split is not used to choose anything.

        Raises:
            UndefinedAxisError: there is no validation split.
        """
        if self.splits.validation is None:
            raise UndefinedAxisError("there is no validation split")
        found = self._run(self.splits.validation)
        return self._class_logits(found.output, found.target)

    @cached_property
    def features(self) -> Tensor:
        """Inputs of the model's last layer for the test split, shape (n, features)."""
        return self.features_of(self.inputs)

    @cached_property
    def train_features(self) -> tuple[Tensor, Tensor]:
        """The same for the first 2,000 training examples, and their classes, shape (m,)."""
        inputs, targets = self.train
        return self.features_of(inputs), self._class_logits(self.predict(inputs), targets)[1]

    # Examples

    @cached_property
    def inputs(self) -> Tensor:
        """Inputs of the test split as one tensor, shape (n, ...).

        Raises:
            UndefinedAxisError: the model takes several inputs, or sequences of several lengths.
        """
        return _tensors(self.splits.test)[0]

    @property
    def inputs_of_call(self) -> Inputs:
        """Inputs of the model's call for the first test batch: a tensor, a tuple of positional or a dict of keyword arguments.

        Raises:
            UndefinedAxisError: ``predict`` of the task, or its ``step``, does not call the model itself, or the batch has no target.
        """
        task, split = self.task, self.splits.test
        batch = split.first(task.batch_size) if isinstance(split, Split) else next(split.evaluation())
        call = task.predict or task.step
        if call is None:
            try:
                return parts_of(batch, "" if isinstance(split, Split) else split.of).inputs
            except TaskError as error:
                raise UndefinedAxisError(str(error)) from error
        found = inputs_of_call(self.model, lambda: call(self.model, placed(batch, self.device)))
        if found is None:
            raise UndefinedAxisError(
                f"{'step' if task.predict is None else 'predict'} of {task.name} does not call the model itself"
            )
        return found

    @cached_property
    def given_targets(self) -> Any:
        """Targets of the test split as its batches have them; ``predict`` of the task may have returned others."""
        return _tensors(self.splits.test)[1]

    @cached_property
    def train(self) -> tuple[Tensor, Any]:
        """Inputs and targets of the first 2,000 training examples."""
        return _tensors(self.splits.train, _REFERENCE)

    @cached_property
    def input_kind(self) -> InputKind:
        """Whether inputs are images, tables, series or text, see :func:`actlab.evaluate.input_kind.input_kind`."""
        return input_kind(self.task, self.inputs)

    @cached_property
    def input_range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of the inputs: of images all together, else of each feature, from training examples."""
        x = self.train[0].double()
        if self.input_kind == "image":
            return x.min(), x.max()
        return x.amin(0), x.amax(0)

    def some(self, count: int, purpose: str = "subset") -> Tensor:
        """Return indices of at most ``count`` test examples, sorted, which follow from the seed; for axes that cost much an example."""
        n = len(self.inputs)
        if count >= n:
            return torch.arange(n)
        return torch.randperm(n, generator=self.generator(purpose))[:count].sort().values

    def predict(self, inputs: Tensor, model: nn.Module | None = None) -> Tensor:
        """Return the outputs of the model for inputs, shape (n, ...), without gradients and on the CPU.

        Args:
            inputs: as the model takes them.
            model: another model in its place.

        Raises:
            UndefinedAxisError: the model gives no tensor.
        """
        found = self.outputs_for(inputs, model)
        if not isinstance(found, Tensor):
            raise UndefinedAxisError(f"the model gives {description(found)}, and this needs one tensor")
        return found

    def outputs_for(self, inputs: Tensor, model: nn.Module | None = None) -> Any:
        """Return what :meth:`predict` returns of models that give one tensor; of others what they give, such as tensors by name."""
        net, device = self.model if model is None else model, self.device
        self.forward_examples += len(inputs)
        with torch.no_grad():
            parts = [net(placed(part, device)) for part in torch.split(inputs, EVALUATION_BATCH)]
        found = joined(parts, "outputs of the model")
        return mapped(found, lambda leaf: leaf.to("cpu") if isinstance(leaf, Tensor) else leaf)

    def logits_of(self, inputs: Tensor, model: nn.Module | None = None) -> Tensor:
        """Return the logits for inputs, as ``logits`` for the test split; every input is one row of a classifier."""
        outputs = self.predict(inputs, model)
        rows = len(outputs) if outputs.ndim == 1 or outputs.shape[1:] == (1,) else outputs.shape[:1] + outputs.shape[2:]
        return class_logits(outputs, torch.zeros(rows, dtype=torch.int64), self.output_kind)[0]

    def logits_and_features(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and inputs of the last layer for inputs, of one run of the model; features without columns if it has none."""
        with recorded_features(self.model) as found:
            logits = self.logits_of(inputs)
        return logits, torch.cat(found).cpu() if found else torch.zeros(len(inputs), 0)

    def part_of_inputs(self, name: str) -> Any:
        """Return the part of the test split's inputs that has a name, shape (n, ...).

        Raises:
            UndefinedAxisError: inputs have no names, or not this one.
        """
        split = self.splits.test
        batches = [] if isinstance(split, Split) else [_named_parts(batch) for batch in split.evaluation()]
        if not batches or not all(name in batch for batch in batches):
            known = f"; their parts are {', '.join(map(str, batches[0]))}" if batches and batches[0] else ""
            raise UndefinedAxisError(f"the inputs of {self.task.name} have no part {name!r}{known}")
        return joined([batch[name] for batch in batches], name)

    def features_of(self, inputs: Tensor) -> Tensor:
        """Return the inputs of the model's last layer for inputs, shape (n, features).

        Raises:
            UndefinedAxisError: the model has no such layer.
        """
        with recorded_features(self.model) as found:
            self.outputs_for(inputs)
        if not found:
            raise UndefinedAxisError("the model has no linear or convolutional layer whose inputs could be features")
        return torch.cat(found).cpu()

    def metric(self, outputs: Any, targets: Any = None) -> float:
        """Return the task's metric of outputs; of the test split's targets where none are given.

        Raises:
            UndefinedAxisError: the task trains by its own function, which returns another metric than the accuracy.
        """
        wanted = self.targets if targets is None else targets
        if self.task.train is None:
            return float(self.task.result_metric(outputs, wanted))
        if self.task.metric_name != "accuracy":
            raise UndefinedAxisError(f"the training function computes its {self.task.metric_name} itself")
        logits, labels = class_logits(outputs, wanted, self.output_kind)
        return float((logits.argmax(1) == labels).double().mean())


def _named_parts(batch: Any) -> Mapping[str, Any]:
    """Return the parts of a batch that have names: of the batch itself, or of the inputs of a pair."""
    given = batch[0] if isinstance(batch, tuple | list) and len(batch) == 2 and not is_named_tuple(batch) else batch
    if is_named_tuple(given):
        return dict(given._asdict())
    if is_dataclass(given) and not isinstance(given, type):
        return {field.name: getattr(given, field.name) for field in fields(given)}
    return given if isinstance(given, Mapping) else {}


def _tensors(split: Split | Loader, count: int | None = None) -> tuple[Tensor, Any]:
    """Return inputs and targets of the first examples of a split as tensors."""
    if isinstance(split, Split):
        return split.x[:count], split.y[:count]
    inputs, targets, examples = [], [], 0
    for batch in split.evaluation():
        parts = parts_of(batch, split.of)
        if not isinstance(parts.inputs, Tensor):
            raise UndefinedAxisError(
                f"the model takes several inputs, and this needs one tensor; {split.of} gives more"
            )
        inputs.append(parts.inputs)
        targets.append(parts.target)
        examples += len(parts.inputs)
        if count is not None and examples >= count:
            break
    try:
        return joined(inputs, f"inputs of {split.of}")[:count], joined(targets, f"targets of {split.of}")[:count]
    except Exception as error:  # sequences of several lengths, or targets that are no tensors
        raise UndefinedAxisError(f"the batches of {split.of} do not fit together") from error
