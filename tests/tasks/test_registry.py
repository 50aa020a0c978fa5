"""Names, paths and Task objects resolve to tasks; other values are errors that name the nearest task."""

import pytest

from actlab.errors import DuplicateNameError, TaskError, UnknownNameError
from actlab.tasks import names, register, resolve, summaries
from actlab.tasks.builtin import jamming
from actlab.tasks.registry import earlier_names, forget, is_built_in, is_registered, register_numbered


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
        *(f"fashion-mnist:{net}" for net in ("resnet", "vit", "depth-16", "autoencoder")),
        *("shakespeare", "shakespeare:plays"),
        *("shakespeare:small", "shakespeare:small-sgd", "shakespeare:norm-free", "shakespeare:norm-free-sgd"),
        *(f"tiny:{net}" for net in ("resnet-8", "ds-cnn", "anomaly")),
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


@pytest.mark.parametrize("name", ["fashion-mnist:depth-1", "fashion-mnist:depth-40", "jamming:ones-0.25"])
def test_a_name_with_another_number_is_a_built_in_task_of_that_number(name):
    assert resolve(name).name == name
    assert is_built_in(name)
    assert is_registered(name)
    assert name not in names()


@pytest.mark.parametrize(
    "name", ["fashion-mnist:depth-016", "fashion-mnist:depth", "fashion-mnist:depth-", "tiny:resnet-9"]
)
def test_a_number_in_another_spelling_or_of_another_task_is_an_unknown_name(name):
    assert not is_registered(name)
    with pytest.raises(UnknownNameError, match=r"Did you mean '(fashion-mnist:depth-16|tiny:resnet-8)'"):
        resolve(name)


@pytest.mark.parametrize(
    "name", ["fashion-mnist:depth-0", "fashion-mnist:depth-101", "fashion-mnist:depth-2.5", "jamming:ones-1"]
)
def test_a_number_that_a_task_cannot_have_is_answered_with_those_that_it_can(name):
    with pytest.raises(TaskError, match=r"(from 1 to 100|between 0 and 1); try "):
        resolve(name)


def test_a_numbered_name_is_registered_once_and_forgotten_as_a_whole():
    register_numbered("mine-4", jamming.ones_task)
    try:
        with pytest.raises(DuplicateNameError, match="'mine' with a number is taken"):
            register_numbered("mine-5", jamming.ones_task)
    finally:
        forget("mine-4")
    assert not is_registered("mine-4")
    assert not is_registered("mine-5")
    with pytest.raises(TaskError, match="does not end with a hyphen and a number"):
        register_numbered("mine", jamming.ones_task)
