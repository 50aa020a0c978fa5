"""Costs of arms are measured interleaved; memory is exact."""

import torch
from tests.studies.tiny import tiny
from torch import nn

from actlab.studies.arm import parse_arm
from actlab.studies.arm_cost import measure_costs


def cost(*specs, **changes):
    return measure_costs(tiny(**changes), [parse_arm(spec) for spec in specs], baseline=specs[0])


def test_every_arm_has_a_time_a_size_and_a_memory():
    costs = cost("relu", "prelu(weight=learned_per_channel)")

    assert list(costs) == ["relu", "prelu(weight=learned_per_channel)"]
    assert costs["relu"]["step_time_ratio"] == 1.0
    assert [own["parameters"] for own in costs.values()] == [58, 58 + 8]
    assert all(own["step_time"] > 0 and own["step_time_ratio"] > 0 for own in costs.values())


def test_the_ratio_is_the_median_of_nine_blocks():
    own = cost("relu", "mish")["mish"]

    assert len(own["step_time_ratios"]) == 9
    assert own["step_time_ratio"] == sorted(own["step_time_ratios"])[4]


def test_memory_is_exact_and_repeatable():
    first, again = cost("relu", "mish"), cost("relu", "mish")

    assert [own["peak_memory"] for own in first.values()] == [own["peak_memory"] for own in again.values()]


def test_memory_is_what_the_arithmetic_says():
    """The peak is the backward of ReLU: its output, the gradient of that and of its input; and the last layer's weights'."""
    width, batch = 5000, 16

    def wide(seed):
        return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

    peak = cost("relu", "tanh", model=wide)["relu"]["peak_memory"]

    expected = 4 * (3 * batch * width + 2 * width)
    assert expected <= peak <= expected + 200  # biases, the loss


def test_an_arm_that_cannot_take_a_step_is_left_out():
    def picky(output, target):
        if (output < 0).any():
            raise ValueError
        return output.sum()

    def ends_in_a_site(seed):
        return nn.Sequential(nn.Linear(4, 2), nn.ReLU(), nn.Flatten())

    costs = measure_costs(
        tiny(model=ends_in_a_site, loss=picky),
        [parse_arm({"1": "relu"}), parse_arm({"1": "identity"})],
        baseline="1=relu",
    )

    assert list(costs) == ["1=relu"]


def test_measuring_moves_no_global_state(capfd):
    before = torch.get_rng_state()

    cost("relu", "gelu")

    assert torch.equal(before, torch.get_rng_state())
    assert capfd.readouterr().err == ""
