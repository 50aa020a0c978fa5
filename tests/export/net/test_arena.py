"""Memory plans: no two tensors that are alive overlap, and the arena is near the bound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.export.net.random_nets import random_net
from tests.export.net.zoo import ZOO, net_of

from actlab.export.net.arena import Place, plan
from actlab.export.net.layers import Reshape
from actlab.export.net.read import read_net


def overlaps(net, places):
    """Return the layers that find an input written over, when each writes a number of its own into the cells of its output."""
    cells = {"input": np.zeros(0), "output": np.zeros(0), "arena": np.full(sum(map(net.size, net.shapes)), -1)}
    numbers, faults = {}, []

    def at(name):
        place = places[name]
        return (
            cells["arena"][place.index : place.index + net.size(name)] if place.kind == "arena" else cells[place.kind]
        )

    for step, layer in enumerate(net.layers):
        faults += [layer.name for name in layer.inputs if (at(name) != numbers.get(name)).any()]
        is_alias = isinstance(layer, Reshape) and places[layer.output] == places[layer.inputs[0]]
        numbers[layer.output] = numbers.get(layer.inputs[0]) if is_alias else step
        at(layer.output)[:] = numbers[layer.output]
    return faults


@pytest.fixture(scope="module")
def nets():
    return {name: net_of(name) for name in ZOO}


def test_no_tensor_is_written_over_before_its_last_reader(nets):
    random = {str(seed): read_net(*random_net(seed)) for seed in range(100, 106)}
    for name, net in (nets | random).items():
        assert overlaps(net, plan(net).places) == [], name


def test_a_plan_with_two_tensors_at_one_place_is_found_wrong(nets):
    net = nets["resnet"]
    places = {
        name: replace(place, index=0) if place.kind == "arena" else place for name, place in plan(net).places.items()
    }
    assert overlaps(net, places)


def test_the_arena_is_as_small_as_the_tensors_that_are_alive_together(nets):
    for name, net in nets.items():
        found = plan(net)
        assert found.needed <= found.elements <= 1.25 * found.needed, name


def test_elementwise_layers_write_over_their_input_and_inputs_of_the_caller_are_only_read(nets):
    net = nets["digits_mlp"]
    found = plan(net)
    assert [found.in_place(layer) for layer in net.layers if type(layer).__name__ == "Activation"] == [True, True]
    assert found.places[net.inputs[0]] == Place(kind="input", index=0)
    assert found.places[net.outputs[0]] == Place(kind="output", index=0)
    assert found.elements == 24 + 16
