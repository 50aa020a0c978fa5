"""Names, paths and Task objects resolve to tasks; other values are errors that name the nearest task."""

import pytest

from actlab.errors import DuplicateNameError, TaskError, UnknownNameError
from actlab.tasks import names, register, resolve, summaries
from actlab.tasks.registry import earlier_names, forget


def test_the_built_in_tasks_are_registered():
    jamming = [f"jamming:{name}" for name in ("digits", "lenet", "ones", "ones-0.5", "step")]
    others = ["digits", "digits:cnn", "fashion-mnist", "fashion-mnist:mlp", "mnist1d", "mnist1d:accuracy"]

    tables = [f"insurance{net}" for net in ("", ":gated", ":attention", ":linear-attention")]
    series = ["oil", "oil:causal", "co2", "japanese-vowels"]
    equations = ["burgers", "helmholtz", "image:siren", "image:fourier"]
    further = ["sections", "sections:mlp", "dependencies", "movielens", "cart-pole"]

    assert set(names()) >= {
        *others,
        *jamming,
        *tables,
        *series,
        *equations,
        *further,
        "gan",
        "gan:precision",
        "gan:recall",
    }


def test_every_task_has_a_summary_of_one_line_with_its_metric():
    listed = {task.name: task for task in summaries()}

    assert list(listed) == names()
    assert all(task.description and "\n" not in task.description for task in listed.values())
    assert (listed["mnist1d"].metric, listed["mnist1d"].direction) == ("mean training loss", "min")


@pytest.mark.parametrize("name", names())
def test_every_name_resolves_to_the_task_of_that_name(name):
    assert resolve(name).name == name


@pytest.mark.parametrize("name", earlier_names())
def test_the_name_of_an_earlier_protocol_resolves_to_a_task_with_the_name_of_the_present_one(name):
    assert resolve(name).name == name.removesuffix(":protocol-1")
    assert name not in names()


def test_a_typo_is_answered_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match=r"no task 'digit'. Did you mean 'digits'"):
        resolve("digit")


def test_a_task_is_returned_as_it_is():
    task = resolve("digits")

    assert resolve(task) is task


def test_anything_else_is_refused():
    with pytest.raises(TaskError, match="got int"):
        resolve(3)


def test_a_registered_name_resolves_and_cannot_be_taken_twice():
    register("mine", lambda: resolve("digits"))
    try:
        assert resolve("mine").name == "digits"
        with pytest.raises(DuplicateNameError, match="'mine' is taken"):
            register("mine", lambda: resolve("digits"))
    finally:
        forget("mine")
