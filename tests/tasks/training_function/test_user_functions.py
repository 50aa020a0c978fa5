"""The plan of a training function changes with its code, that of what it uses, and what is fixed; and with nothing else."""
# ruff: noqa: ARG002, ARG005, S102 # what is tested is the code of the functions, which a notebook runs

import types
from functools import partial

import pytest

from actlab.tasks.training_function.user_functions import code_text, names_read

SOURCE = """
from functools import partial
SIZES = {"small", "large"}
RATE = 0.1

class Net:
    def __init__(self): self.width = 3

def helper(model): return model, 1 in (2, 3), "a" in {"a", "b"}

def train(model, seed, epochs=2):
    return helper(model), Net()
"""


def notebook(text=SOURCE):
    """Return the names that a notebook's cell of this text defines."""
    module = types.ModuleType("__main__")
    exec(text, module.__dict__)  # as a notebook runs it
    return module


def test_the_same_cell_run_again_is_the_same_code():
    assert code_text([notebook().train]) == code_text([notebook().train])


def test_changed_code_helpers_classes_and_defaults_are_other_code():
    before = code_text([notebook().train])
    changes = [
        ("helper(model), Net()", "helper(model), Net"),
        ("1 in (2, 3)", "2 in (2, 3)"),
        ("width = 3", "width = 4"),
        ("epochs=2", "epochs=3"),
    ]

    assert all(code_text([notebook(SOURCE.replace(old, new)).train]) != before for old, new in changes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("EPOCHS = 3", "EPOCHS = 4"),
        ("EPOCHS = {'rate': 0.1, 'sizes': [1, 2]}", "EPOCHS = {'rate': 0.1, 'sizes': [1, 3]}"),
        (
            "from argparse import Namespace\nEPOCHS = Namespace(n=3)",
            "from argparse import Namespace\nEPOCHS = Namespace(n=4)",
        ),
    ],
)
def test_settings_that_are_read_from_the_notebook_are_part_of_the_code(before, after):
    def text(settings):
        body = "def helper(): return [EPOCHS for _ in range(2)]\ndef train(model, trial): return helper(), trial.lr\n"
        return code_text([notebook(f"{settings}\n{body}").train])

    assert text(before) == text(before) != text(after)
    assert text(f"{before}\nlr = 1") == text(f"{before}\nlr = 2")  # an attribute of that name is read, and no setting


def test_what_the_functions_count_and_large_data_are_no_settings():
    def text(settings):
        body = "def train(model):\n    global calls\n    calls += 1\n    return calls, rows\n"
        return code_text([notebook(f"{settings}\n{body}").train])

    assert text("calls = 0\nrows = [0.5] * 2000") == text("calls = 7\nrows = [0.25] * 2000")


def test_what_the_function_does_not_use_changes_nothing():
    assert code_text([notebook(SOURCE + "\ndef unused(): return 3\n").train]) == code_text([notebook().train])


def test_arguments_fixed_by_partial_and_by_a_closure_are_part_of_the_code():
    def closed(width):
        return lambda model: width

    train = notebook().train

    assert len({code_text([partial(train, epochs=n)]) for n in (2, 3)} | {code_text([train])}) == 3
    assert code_text([closed(2)]) != code_text([closed(3)])


def test_fields_of_an_object_whose_method_trains_are_part_of_the_code():
    class Runner:
        def __init__(self, epochs):
            self.epochs = epochs

        def fit(self, model):
            return self.epochs

    assert code_text([Runner(2).fit]) != code_text([Runner(3).fit])
    assert code_text([Runner(2).fit]) == code_text([Runner(2).fit])


def test_names_are_read_through_helpers():
    module = notebook("def inner(trial): return trial.lr\ndef train(model, trial): return inner(trial)\n")

    assert "lr" in names_read(module.train)
    assert "stage" not in names_read(module.train)


def test_the_code_of_a_class_that_a_partial_function_fixes_counts():
    def text(width):
        return code_text([partial(map, notebook(SOURCE.replace("width = 3", f"width = {width}")).Net)])

    assert text(3) == text(3) != text(4)
