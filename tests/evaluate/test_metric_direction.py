"""Direction of the metric of outputs, which the result of a task need not have."""

from __future__ import annotations

from actlab.evaluate.axis import Axis, Column
from actlab.evaluate.metric_direction import metric_direction
from actlab.tasks import resolve
from actlab.tasks.task import Task, accuracy


def loss_of(output: object, target: object) -> float:
    return 0.0


def task(**settings: object) -> Task:
    return Task(name="t", model=None, data=None, loss=loss_of, **{"metric": loss_of, **settings})  # type: ignore[arg-type]


def test_a_result_of_outputs_has_the_direction_of_the_task() -> None:
    assert metric_direction(task(direction="min")) == "min"
    assert metric_direction(resolve("digits")) == "max"


def test_a_result_of_losses_says_nothing_of_the_metric_unless_that_is_the_accuracy() -> None:
    assert metric_direction(task(direction="min", curve_metric=min)) is None
    assert metric_direction(task(direction="min", curve_metric=min, metric=accuracy)) == "max"


def test_columns_in_the_units_of_the_metric_take_its_direction_and_its_region_alone() -> None:
    own = Axis(name="own", measure=lambda *_: 1.0, columns={"own": Column(direction="metric"), "more": Column()})
    plain = own.of_task(task(direction="min", rope=0.5)).columns
    assert (plain["own"].direction, plain["own"].rope) == ("min", 0.5)
    assert plain["more"] == Column()
    of_losses = own.of_task(task(direction="min", rope=0.5, curve_metric=min, metric=accuracy)).columns
    assert (of_losses["own"].direction, of_losses["own"].rope) == ("max", None)
