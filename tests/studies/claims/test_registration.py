"""Registrations of claims: edits of code count, edits of comments and docstrings do not."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import partial

import pytest

from actlab.studies.claims import registration
from actlab.studies.claims.claim import ClaimStudy
from actlab.studies.claims.function_code import code_through_modules, function_code, function_files
from actlab.studies.claims.registration import Registration
from actlab.tasks import Task, resolve

CODE = '''
"""Task of the tests."""

RATE = 0.1  # of the optimizer


def model(seed):
    """Return a model."""
    # built by a helper
    return build(8, seed)


def build(width, seed):
    return ("net", width, seed)


def of_width(width):
    def model(seed):
        return build(width, seed)
    return model


class Loss:
    """Loss of the tests."""

    def __call__(self, output, target):
        return (output - target) * RATE


def unused():
    return 1


twice = lambda x: 2 * x
'''


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Return the code behind a function of a module with some text in the place of another."""

    def of(name="model", before="", after="", call=None):
        file = tmp_path / f"mine_{len(list(tmp_path.iterdir()))}.py"
        assert before in CODE
        file.write_text(CODE.replace(before, after) if before else CODE)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, file.stem, module)
        spec.loader.exec_module(module)
        found = getattr(module, name)
        return function_code(found if call is None else call(found))

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""Return a model."""', '"""Return a new model, of eight units."""'),
        ("# built by a helper", "# built elsewhere\n    # in two lines"),
        ("  # of the optimizer", ""),
        ('"""Task of the tests."""', '"""Other words."""'),
        ("def unused():\n    return 1", "def unused():\n    return 2"),
    ],
)
def test_edits_of_words_and_of_code_that_is_not_used_leave_the_code_as_it_is(code, before, after):
    assert code(before=before, after=after) == code()


@pytest.mark.parametrize(
    ("before", "after"), [("build(8, seed)", "build(9, seed)"), ('("net", width', '("wide", width')]
)
def test_edits_of_a_function_and_of_its_helpers_are_other_code(code, before, after):
    assert code(before=before, after=after) != code()


def test_a_constant_that_a_callable_object_reads_is_part_of_its_code(code):
    with_loss = partial(code, "Loss", call=lambda kind: kind())

    assert with_loss(before="RATE = 0.1", after="RATE = 0.2") != with_loss()
    assert with_loss(before="Loss of the tests", after="Another sentence") == with_loss()


def test_a_lambda_a_partial_and_a_value_that_is_bound_are_part_of_the_code(code):
    assert code("twice", before="2 * x", after="3 * x") != code("twice")
    assert code("build", call=lambda build: partial(build, 8)) == code("build")
    assert code("of_width", call=lambda make: make(8)) != code("of_width", call=lambda make: make(9))


def test_the_code_of_other_libraries_is_their_name():
    from torch.nn.functional import cross_entropy

    assert function_code(cross_entropy) == "torch.nn.functional.cross_entropy"


def test_the_code_of_a_shipped_task_follows_imports_between_tasks():
    files = {name.rpartition("/")[2] for name in function_files(*vars(resolve("gradient:depth-20")).values())}

    assert {"gradient_depth.py", "deep_digits.py"} <= files


def test_code_that_is_reached_by_the_name_of_a_module_has_a_digest_of_its_own():
    """The data of the tasks on MNIST-1D are made in mnist1d.py, which they import as a module."""
    task = resolve("mnist1d:depth-4")
    code = code_through_modules(*vars(task).values())
    files = {name.rpartition("/")[2] for name in function_files(*vars(task).values())}

    assert "white_noise: float = 0.02" in code
    assert "white_noise" not in function_code(*vars(task).values())
    assert {"mlp_dials.py", "mnist1d.py"} <= files


def test_an_edit_behind_the_name_of_a_module_is_a_change_and_registrations_without_its_digest_stay():
    now = Registration(rule="a", studies={"main": "b"}, modules={"main": "c"})

    assert now.changes(replace(now, modules={"main": "d"})) == ["the plan or the code of the study main"]
    assert replace(now, modules={}).changes(now) == ["the plan or the code of the study main"]
    assert now.changes(replace(now, modules={})) == []


def test_an_edited_task_is_another_study(monkeypatch):
    before = registration._study_digests(ClaimStudy(task="digits", arms=("relu", "gelu")))

    def other(number):
        return lambda name: Task(**{**vars(resolve(name)), "loss": lambda output, _: output * number})

    monkeypatch.setattr(registration, "resolve", other(1))
    one = registration._study_digests(ClaimStudy(task="digits", arms=("relu", "gelu")))
    monkeypatch.setattr(registration, "resolve", other(2))
    two = registration._study_digests(ClaimStudy(task="digits", arms=("relu", "gelu")))
    assert len({before, one, two}) == 3


def test_a_function_without_a_formula_is_part_of_the_study_by_its_code(monkeypatch):
    study = ClaimStudy(task="digits", arms=("relu", "softmax"))
    before = registration._study_digests(study)

    monkeypatch.setattr(registration, "_tensor_code", lambda _: [])
    assert registration._study_digests(study) != before
