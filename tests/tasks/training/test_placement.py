"""Batches of every form come to the device whole, and stay what they are."""

from collections import OrderedDict, UserDict
from typing import NamedTuple

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from actlab.tasks.training.placement import placed


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


class Graph:
    def __init__(self, device="cpu"):
        self.device = device

    def to(self, device):
        return Graph(device)


X = torch.zeros(2, 3)


def test_the_batch_itself_is_used_on_the_cpu():
    batch = {"x": X}

    assert placed(batch, "cpu") is batch


@pytest.mark.parametrize(
    "batch",
    [X, (X, X), [X, (X, {"a": X})], {"x": X}, OrderedDict(x=X), UserDict(x=X), Pair(X, X)],
    ids=["tensor", "tuple", "nested", "dict", "ordered dict", "user dict", "named tuple"],
)
def test_every_tensor_of_a_batch_is_moved_and_its_form_is_kept(batch):
    moved = placed(batch, "meta")

    assert type(moved) is type(batch)
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert len(tensors(moved)) == len(tensors(batch))


def tensors(value):
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value.values() if hasattr(value, "values") else value
    return [tensor for part in parts for tensor in tensors(part)]


def test_objects_are_moved_by_their_own_method():
    assert placed((Graph(), X), "meta")[0].device == "meta"
    packed = placed(pack_padded_sequence(torch.zeros(4, 2, 3), [4, 2]), "meta")
    assert packed.data.device.type == "meta"


def test_what_is_no_tensor_is_left_alone():
    assert placed([X, "name", 3, None], "meta")[1:] == ["name", 3, None]
