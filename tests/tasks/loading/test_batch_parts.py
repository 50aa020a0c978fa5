"""Which parts of a batch are the inputs of the model, and which is the target."""

from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType

import pytest
import torch
from tests.tasks.forms import Pair, Record, TwoInputs
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from actlab.errors import TaskError
from actlab.tasks.loading.batch_parts import Parts, inputs_of_call, parts_of


@dataclass
class Masked:
    ids: int
    mask: int
    targets: int


packed = pack_sequence([torch.ones(3), torch.ones(2)])
FORMS = {
    "a pair": ((1, 2), Parts((1,), {}, 2)),
    "a list, as TensorDataset gives it": ([1, 2], Parts((1,), {}, 2)),
    "two inputs": ((1, 2, 3), Parts((1, 2), {}, 3)),
    "a tuple in a pair": (((1, 2), 3), Parts((1, 2), {}, 3)),
    "a dict in a pair": (({"a": 1, "b": 2}, 3), Parts((), {"a": 1, "b": 2}, 3)),
    "a dict of one input": ({"x": 1, "y": 2}, Parts((1,), {}, 2)),
    "a dict of several": ({"ids": 1, "labels": 2, "mask": 3}, Parts((), {"ids": 1, "mask": 3}, 2)),
    "another mapping": (MappingProxyType({"x": 1, "target": 2}), Parts((1,), {}, 2)),
    "a named tuple with a name": (Pair(label=1, x=2), Parts((2,), {}, 1)),
    "a dataclass": (Masked(1, 2, 3), Parts((), {"ids": 1, "mask": 2}, 3)),
    "a packed sequence in a pair": ((packed, 1), Parts((packed,), {}, 1)),
    "a target of two parts": ((1, (2, 3)), Parts((1,), {}, (2, 3))),
}


@pytest.mark.parametrize(("batch", "expected"), FORMS.values(), ids=FORMS)
def test_the_target_is_last_or_has_its_name(batch, expected):
    assert parts_of(batch) == expected


NONE = {
    "a tensor": (torch.zeros(2, 3), "is (2, 3) float32, which has no target"),
    "one tensor in a list": ([torch.zeros(2)], "which has no target"),
    "a packed sequence": (packed, "a PackedSequence, which has no target"),
    "a dict without": ({"ids": 1, "mask": 2}, "has ids and mask, which is no target"),
    "a dict with two": ({"x": 1, "y": 2, "label": 3}, "which is 2 targets, y and label"),
    "a dict of a target alone": ({"y": 1}, "which is nothing but a target"),
    "an object": (object(), "is a object, which has no target"),
}


@pytest.mark.parametrize(("batch", "said"), NONE.values(), ids=NONE)
def test_a_batch_without_a_target_is_refused_with_what_to_do(batch, said):
    with pytest.raises(TaskError) as caught:
        parts_of(batch, "the train split of t")

    assert said in str(caught.value)
    assert "the train split of t" in str(caught.value)
    assert "step(model, batch) -> loss" in str(caught.value)


def test_inputs_are_in_the_form_of_example_inputs():
    x = torch.zeros(2)

    assert parts_of((x, 1)).inputs is x
    assert parts_of((x, x, 1)).inputs == (x, x)
    assert parts_of(({"a": x, "b": x}, 1)).inputs == {"a": x, "b": x}
    assert parts_of(Record(x, x)).inputs is x


def test_the_first_call_of_a_model_gives_its_inputs_and_the_model_does_not_run():
    ran = []
    model = nn.Linear(2, 1)
    model.register_forward_hook(lambda *_: ran.append(1))

    def step():
        with suppress(Exception):  # as a step may do
            model(torch.ones(2))
        model("never")

    assert torch.equal(inputs_of_call(model, step), torch.ones(2))
    assert not ran
    assert not model._forward_pre_hooks


def test_positional_and_keyword_arguments_of_a_call_become_keyword_arguments():
    model = TwoInputs()

    assert inputs_of_call(model, lambda: model("a", more="b")) == {"x": "a", "more": "b"}
    assert inputs_of_call(model, lambda: model.body) is None
