"""Examples as arrays: the forms of batches, and what kind of input each part is."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence

import actlab
from actlab.evaluate.audit.example_stream import ExampleStream
from actlab.tasks.data import as_data
from actlab.tasks.task import Task


def stream(batches, **settings):
    task = Task(name="t", model=None, data=None, loss=None, metric=None, metric_name="m", **settings)
    return ExampleStream(task, as_data({"train": batches, "test": batches}))


class Batches(list):
    """Loader of these batches."""

    def __iter__(self):
        return super().__iter__()


FORMS = {
    "a pair": ((torch.zeros(4, 3), torch.zeros(4)), {"x"}),
    "several inputs": ((torch.zeros(4, 3), torch.zeros(4, 2), torch.zeros(4)), {"x0", "x1"}),
    "named inputs": ({"age": torch.zeros(4), "income": torch.zeros(4), "label": torch.zeros(4)}, {"age", "income"}),
    "texts": ((["a", "b", "c", "d"], torch.zeros(4)), {"x"}),
    "texts by name": ({"text": ["a", "b", "c", "d"], "label": torch.zeros(4)}, {"x"}),
    "no target": ({"image": torch.zeros(4, 8, 8)}, {"image"}),
    "sequences of several lengths": (
        ([torch.zeros(3), torch.zeros(5), torch.zeros(2), torch.zeros(1)], torch.zeros(4)),
        {"x"},
    ),
    "the same by zip": ((tuple(torch.zeros(n, 2) for n in (5, 5, 5, 5)), (0, 1, 0, 1)), {"x"}),
    "the same by name": ({"steps": [torch.zeros(n) for n in (3, 5, 2, 1)], "label": torch.zeros(4)}, {"x"}),
    "packed sequences": ((pack_sequence([torch.zeros(n, 2) for n in (5, 3, 3, 1)]), torch.zeros(4)), {"x"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_batch_is_read(form):
    batch, names = FORMS[form]
    loader = torch.utils.data.DataLoader([0, 1], batch_size=1, collate_fn=lambda _: batch)

    first = next(stream(loader).batches())

    assert len(first) == 4
    assert set(first.parts) == names


KINDS = {
    "table": torch.randn(20, 5),
    "image": torch.rand(20, 3, 16, 16),
    "series": torch.randn(20, 2, 100),
    "text": torch.randint(0, 65, (20, 64)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_follows_from_dtype_and_shape(kind):
    loader = torch.utils.data.TensorDataset(KINDS[kind], torch.zeros(20))
    found = stream(loader)
    next(found.batches())

    assert found.kinds == {"x": kind}


OTHER = {
    "bytes of pixels": (np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8), "image"),
    "counts of several scales": (np.random.default_rng(0).integers(0, 100, (20, 9)) * 10 ** np.arange(9), "table"),
    "answers from 1 to 7": (np.random.default_rng(0).integers(1, 8, (500, 12)), "table"),
    "users and items": (np.random.default_rng(0).integers(0, 1000, (20, 2)), "table"),
}


@pytest.mark.parametrize("form", OTHER)
def test_whole_numbers_are_text_only_if_all_columns_are_alike(form):
    x, kind = OTHER[form]

    assert dict(actlab.audit({"train": (x, np.zeros(len(x))), "test": (x[:5], np.zeros(5))}).kinds) == {"x": kind}


def test_the_task_has_the_last_word_on_the_kind():
    found = stream(torch.utils.data.TensorDataset(KINDS["text"], torch.zeros(20)), input_kind="table")
    next(found.batches())

    assert found.kinds == {"x": "table"}


def test_groups_and_times_by_name_are_no_inputs():
    batch = {"x": torch.zeros(4, 3), "who": ["a", "b", "a", "c"], "when": ["2024-05-01"] * 4, "label": torch.zeros(4)}
    loader = torch.utils.data.DataLoader([0], batch_size=1, collate_fn=lambda _: batch)

    first = next(stream(loader, groups="who", times="when").batches())

    assert set(first.parts) == {"x"}
    assert first.groups.tolist() == ["a", "b", "a", "c"]
    assert len(set(first.times.tolist())) == 1
