"""A pass gets copies of its inputs, objects included."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F  # the usual name
from torch import Tensor, nn

from actlab.nn.passes.copies import copied
from actlab.nn.probes.probe import probe
from actlab.nn.sites.find import find
from actlab.nn.transforms.swap import swap_


class Cache:
    """A key-value cache as libraries write it."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.lock: object = None
        self.length = 0

    def update(self, key: Tensor) -> Tensor:
        self.keys.append(key)
        self.length += key.shape[1]
        return torch.cat(self.keys, 1)


@dataclass
class Step:
    """A dataclass, which torch's trees do not look into."""

    x: Tensor
    cache: Cache = field(default_factory=Cache)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.out = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor, cache: Cache) -> Tensor:
        return self.out(F.gelu(cache.update(self.linear(x))).mean(1))


def test_a_cache_among_the_inputs_stays_empty():
    x, cache = torch.randn(2, 3, 4), Cache()
    model = Attention()

    find(model, (x, cache))
    swap_(model, "relu", (x, cache))
    probe(model, [(x, cache)] * 2, inputs=lambda batch: batch)

    assert (cache.keys, cache.length) == ([], 0)


def test_an_object_that_cannot_be_copied_as_a_whole_is_copied_in_parts():
    cache = Cache()
    cache.lock = threading.Lock()
    cache.keys = [torch.ones(1, 2, requires_grad=True) * 2]  # with a graph, which deepcopy refuses

    copy = copied(cache)
    copy.update(torch.zeros(1, 2))
    copy.keys[0].add_(1)

    assert copy.lock is cache.lock
    assert (len(cache.keys), cache.length) == (1, 0)
    assert cache.keys[0].tolist() == [[2.0, 2.0]]


def test_dataclasses_arrays_and_generators_are_copied():
    step, array, generator = Step(torch.ones(2)), np.ones(2), torch.Generator().manual_seed(1)
    before = generator.get_state()

    other = copied({"step": step, "array": array, "generator": generator})
    other["step"].x += 1
    other["step"].cache.length = 5
    other["array"] += 1
    torch.rand(1, generator=other["generator"])

    assert (step.x.tolist(), step.cache.length, array.tolist()) == ([1, 1], 0, [1, 1])
    assert torch.equal(generator.get_state(), before)


def test_modules_among_the_inputs_are_kept():
    module = nn.Linear(1, 1)

    assert copied([module])[0] is module
    assert copied(Step(torch.ones(1), module)).cache is module
