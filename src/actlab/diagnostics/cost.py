"""Cost of activations in a model without training it, as time of a step, memory and parameters."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, IterableDataset

from actlab.errors import TaskError
from actlab.studies.arm import ArmLike
from actlab.studies.arm_cost import measure_costs
from actlab.studies.prepare import draft
from actlab.studies.verdict.step_time import compare_times
from actlab.system.display import Displayed
from actlab.tasks import registry, task_file
from actlab.tasks.data import Split
from actlab.tasks.isolation import isolated
from actlab.tasks.loading.loader import Loader
from actlab.tasks.model_source import LoadedModel, load_model
from actlab.tasks.task import Task
from actlab.tasks.training.data_cache import cached_data
from actlab.tasks.training_function.model_inputs import model_inputs

__all__ = ["ArmCost", "Costs", "cost"]


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """Cost of one activation in a model.

    Attributes:
        spec: the activation, or "unchanged" for the model as it is.
        step_time: of a training step (forward, backward, optimizer) on one thread, in CPU seconds; None where a step raises.
        ratio: time over that of the baseline, the median over blocks; None where it was not measured.
        interval: 95 % interval of the ratio; None for the baseline.
        parameters: number of trained parameters.
        peak_memory: bytes that a training step allocates beyond model and optimizer state.
    """

    spec: str
    step_time: float | None = None
    ratio: float | None = None
    interval: tuple[float, float] | None = None
    parameters: int | None = None
    peak_memory: int | None = None


@dataclass(frozen=True, kw_only=True)
class Costs(Displayed):
    """Costs of several activations in one model.

    Attributes:
        name: of the model or task.
        baseline: spec with the ratio 1.
        batch_size: examples of a step; None where a loader does not tell.
        arms: the costs, in the order in which they were asked for.
    """

    name: str
    baseline: str
    batch_size: int | None
    arms: tuple[ArmCost, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as data for JSON."""
        return asdict(self)


def cost(
    source: str | Path | Task | nn.Module,
    acts: Iterable[ArmLike],
    *,
    example_inputs: Any = None,
    baseline: ArmLike | None = None,
    seed: int = 0,
) -> Costs:
    """Measure what activations cost in a model, without training it.

    Every activation takes training steps on the same batch, interleaved in one process on one thread, so that other load affects all
    alike. Without a loss of its own the model gets the mean square of its outputs, whose time is negligible.

    Args:
        source: a model; a task or its name; or a Python file that defines a task, or ``model`` and ``example_inputs``.
        acts: specs, or maps from site patterns to specs.
        example_inputs: of a model: a tensor, a tuple of positional arguments or a dict of keyword arguments, with as many examples as
            training uses.
        baseline: what the others are compared with; by default the model as it is.
        seed: of the model and its data.

    Raises:
        UnknownNameError, SpecError, PlanError, TaskError: an argument is wrong, or an activation does not fit the model.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
        >>> costs = cost(net, ["gelu", "prelu"], example_inputs=torch.zeros(32, 8))
        >>> [(arm.spec, arm.parameters) for arm in costs.arms]
        [('unchanged', 161), ('gelu', 161), ('prelu', 162)]
    """
    task = _task(source, example_inputs, seed)
    drafted = draft(task, acts, seeds=[seed], baseline=baseline)
    plan = drafted.plan
    measured = measure_costs(drafted.task, plan.arms, baseline=plan.baseline, init=plan.init, seed=seed)
    order = sorted(plan.labels, key=lambda label: label != plan.baseline)
    return Costs(
        name=drafted.task.name,
        baseline=plan.baseline,
        batch_size=_batch_size(drafted.task, seed),
        arms=tuple(_arm_cost(measured, label, plan.baseline) for label in order),
    )


def _batch_size(task: Task, seed: int) -> int | None:
    if task.door != "loop":
        return None
    split = cached_data(task, seed).train
    source = split.source if isinstance(split, Loader) else None
    if isinstance(source, DataLoader):
        return source.batch_size
    is_batched = isinstance(split, Split) or split.is_dataset or isinstance(source, IterableDataset)
    return task.batch_size if is_batched else None


def _arm_cost(measured: Mapping[str, Mapping[str, Any]], label: str, baseline: str) -> ArmCost:
    if label not in measured:
        return ArmCost(spec=label)
    found, ratio = measured[label], compare_times(measured, label, baseline)
    return ArmCost(
        spec=label,
        step_time=found["step_time"],
        ratio=found["step_time_ratio"],
        interval=None if label == baseline or ratio is None else (ratio.low, ratio.high),
        parameters=found["parameters"],
        peak_memory=found["peak_memory"],
    )


def _task(source: str | Path | Task | nn.Module, example_inputs: Any, seed: int) -> Task:
    """Return the task whose steps are timed."""
    if isinstance(source, Task) and source.door == "function":
        with isolated(seed):
            model = source.model(seed)
        return _steps_only(LoadedModel(name=source.name, model=model, example_inputs=model_inputs(source, seed)))
    if isinstance(source, Task):
        return source
    if isinstance(source, nn.Module):
        return _steps_only(LoadedModel(name=type(source).__name__, model=source, example_inputs=example_inputs))
    if not isinstance(source, str | Path):
        raise TaskError(
            f"What is measured is a model, a task or a Python file; got {type(source).__name__}: {source!r}."
        )
    if not task_file.is_file(source):
        return registry.resolve(source)
    if {"loss", "data"} <= task_file.run_file(Path(source).expanduser()).keys():
        return registry.resolve(source)
    return _steps_only(load_model(source, seed))


class _Called(nn.Module):
    """A model that is called with fixed arguments, whatever its input."""

    def __init__(self, model: nn.Module, inputs: Any) -> None:
        super().__init__()
        self.model, self.inputs = model, inputs

    def forward(self, _: Tensor) -> Any:
        return self.model(**self.inputs) if isinstance(self.inputs, Mapping) else self.model(*self.inputs)


def _steps_only(loaded: LoadedModel) -> Task:
    inputs, model = loaded.example_inputs, loaded.model
    if inputs is None:
        raise TaskError(
            f"{loaded.name} has no example_inputs, without which no step can be timed: a tensor, a tuple of positional arguments or a dict "
            "of keyword arguments; in a file, define it beside model."
        )
    size = max((len(tensor) for tensor in _tensors(inputs) if tensor.dim()), default=1)
    x = inputs if isinstance(inputs, Tensor) else torch.zeros(size, 1)
    timed = model if isinstance(inputs, Tensor) else _Called(model, inputs)
    split = Split(x=x, y=torch.zeros(len(x)))
    return Task(
        name=loaded.name,
        model=lambda seed: copy.deepcopy(timed),  # noqa: ARG005 # the weights are the model's own
        data=lambda seed: {"train": (split.x, split.y), "test": (split.x, split.y)},  # noqa: ARG005 # as above
        loss=_mean_square,
        metric=lambda output, target: 0.0,  # noqa: ARG005 # nothing is evaluated
        metric_name="nothing",
        direction="min",
        batch_size=size,
    )


def _tensors(value: Any) -> Iterator[Tensor]:
    yield from (leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor))


def _mean_square(output: Any, target: Tensor) -> Tensor:  # noqa: ARG001 # there is no target
    found = [tensor for tensor in _tensors(_plain(output)) if tensor.is_floating_point()]
    if not found:
        raise TaskError(f"The model returns no tensor of floating point numbers, but {type(output).__name__}.")
    return torch.stack([tensor.float().square().mean() for tensor in found]).sum()


def _plain(output: Any) -> Any:
    """Return the output of a transformers model, which is a mapping of its own kind, as a dict."""
    return dict(output) if isinstance(output, Mapping) else output
