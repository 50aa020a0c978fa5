"""Values of batches are joined, changed and described whatever their nesting."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from actlab.errors import TaskError
from actlab.tasks.loading.nested import description, joined, leaves, mapped, row_count

Named = namedtuple("Named", "a b")


@dataclass
class Output:
    logits: Tensor
    hidden: tuple


TREES = [
    {"x": [torch.ones(2), torch.zeros(2, 3)], "y": (torch.ones(2),)},
    Named(torch.ones(2), [torch.ones(2)]),
    OrderedDict(a=torch.ones(2), b={"c": torch.ones(2)}),
]


@pytest.mark.parametrize("tree", TREES)
def test_leaves_and_changes_are_those_of_torchs_trees(tree):
    ours, torchs = mapped(tree, lambda leaf: leaf + 1), tree_map(lambda leaf: leaf + 1, tree)

    assert type(ours) is type(tree)
    assert all(torch.equal(a, b) for a, b in zip(leaves(ours), tree_leaves(torchs), strict=True))


def test_a_dataclass_and_a_mapping_of_another_class_keep_their_class():
    class Encoding(dict):
        pass

    output = Output(torch.ones(2), (torch.ones(2),))

    assert type(mapped(Encoding(a=1), lambda leaf: leaf)) is Encoding
    assert torch.equal(joined([output, output], "outputs").hidden[0], torch.ones(4))


def test_tensors_arrays_numbers_and_lists_are_joined_along_the_batch():
    parts = [
        {
            "t": torch.full((n, 2), float(n)),
            "a": np.full(n, n),
            "loss": float(n),
            "zero": torch.tensor(n),
            "text": ["w"] * n,
        }
        for n in (1, 3)
    ]
    found = joined(parts, "outputs")

    assert found["t"].tolist() == [[1, 1], [3, 3], [3, 3], [3, 3]]
    assert found["a"].tolist() == [1, 3, 3, 3]
    assert found["loss"].tolist() == found["zero"].tolist() == [1, 3]
    assert found["text"] == ["w"] * 4


def test_sequences_of_several_lengths_are_refused_with_what_to_do():
    with pytest.raises(TaskError, match=r"shapes \(n, 3\) and \(n, 5\), by batch.*predict\(model, batch\).*flatten"):
        joined([torch.ones(2, 3), torch.ones(2, 5)], "outputs")


def test_batches_of_other_parts_are_refused():
    with pytest.raises(TaskError, match="have not the same parts in all batches"):
        joined([{"a": torch.ones(1)}, {"b": torch.ones(1)}], "outputs")


def test_the_size_of_a_batch_is_that_of_its_first_tensor():
    assert row_count({"names": ["a"], "x": torch.ones(5, 2), "y": torch.ones(3)}) == 5
    assert row_count([np.ones(4)]) == 4
    assert row_count("text") == 1


def test_a_description_names_shapes_and_types():
    assert description([torch.ones(2, 3), {"y": np.ones(2)}]) == "[(2, 3) float32, {'y': (2,) float64}]"
    assert description(["a", "b"]) == "a list of 2"


def test_outputs_of_transformers_keep_their_attributes():
    outputs = pytest.importorskip("transformers.modeling_outputs")
    parts = [outputs.SequenceClassifierOutput(logits=torch.full((n, 2), float(n))) for n in (1, 2)]
    assert joined(parts, "outputs").logits.shape == (3, 2)
    assert joined(parts, "outputs").loss is None
    assert mapped(parts[0], lambda leaf: leaf + 1)["logits"].tolist() == [[2.0, 2.0]]
