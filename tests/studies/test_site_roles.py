"""The main function of a model is told from gates, attention, outputs and lone functions by what becomes of their results."""

import pytest
import torch
from tests.studies.gated_nets import GatedUnit, Parametrized, Pooled, Recurrent, SqueezeExcitation
from torch import nn
from torch.nn import functional as F

from actlab.nn.sites.find import survey
from actlab.studies.site_roles import find_roles

MAIN, OTHER, GATE = "main function", "another function", "gate"


def roles(model, x):
    return [(role.function, role.role) for role in find_roles(survey(model, x))]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (SqueezeExcitation, [("relu", MAIN), ("relu", MAIN), ("sigmoid", GATE), ("relu", MAIN), ("tanh", "output")]),
        (Pooled, [("softmax", "attention"), ("gelu", MAIN), ("tanh", OTHER)]),
        (GatedUnit, [("silu", MAIN), ("glu", GATE), ("tanh", GATE), ("sigmoid", GATE)]),
        (Recurrent, [("sigmoid", GATE)] * 2 + [("tanh", GATE), ("sigmoid", GATE), ("tanh", GATE), ("elu", MAIN)]),
        (Parametrized, [("tanh", MAIN), ("tanh", MAIN), ("tanh", GATE)]),
    ],
)
def test_each_site_has_the_role_that_its_result_plays(model, expected):
    assert roles(model(), torch.randn(6, 16)) == expected


class Formula(nn.Module):
    """A model that computes a given formula between two layers."""

    def __init__(self, formula):
        super().__init__()
        self.formula = formula
        self.a, self.b, self.c, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.sigmoid, self.hardsigmoid, self.tanh = nn.Sigmoid(), nn.Hardsigmoid(), nn.Tanh()
        self.softplus, self.silu, self.elu = nn.Softplus(), nn.SiLU(), nn.ELU()

    def forward(self, x):
        h = F.relu(self.a(x.repeat(9, 1)))[: len(x)]
        return self.head(self.formula(self, x, h))


@pytest.mark.parametrize(
    ("formula", "role"),
    [
        (lambda m, x, h: h * m.sigmoid(m.b(x)), GATE),
        (lambda m, x, _: x * m.sigmoid(m.b(x)), GATE),
        (lambda m, x, h: h * (1 - m.sigmoid(m.b(x))).mean(1, keepdim=True), GATE),
        (lambda m, x, h: torch.lerp(h, x, m.sigmoid(m.b(x))), GATE),
        (lambda m, x, h: h / m.softplus(m.b(x)), GATE),
        (lambda m, x, h: torch.einsum("bi,bi->bi", h, m.hardsigmoid(m.b(x))), GATE),
        (lambda m, x, h: m.c(h) * (1 + m.tanh(m.b(x))), GATE),
        (lambda m, x, h: m.silu(m.b(x)) * m.c(h), OTHER),  # SwiGLU: the function of its block
        (lambda m, x, _: m.tanh(m.b(x)) * m.c.weight[0], OTHER),
        (lambda m, x, h: h + m.tanh(m.b(x)), OTHER),
        (lambda m, _, h: m.tanh(m.b(h)) * 2 - 1, OTHER),
        (lambda m, x, h: m.elu(m.b(x)) @ m.c(h).T @ h, "attention"),
        (lambda m, x, _: m.elu(m.b(x)) @ m.c.weight, OTHER),  # a matrix product with weights is a layer
    ],
)
def test_a_gate_multiplies_another_value_that_is_not_made_of_its_result(formula, role):
    found = roles(Formula(formula), torch.randn(4, 4))

    assert found[0] == ("relu", MAIN)
    assert found[1][1] == role


def test_the_main_function_is_the_one_with_most_elements_not_with_most_sites():
    few_wide = nn.Sequential(nn.Linear(4, 64), nn.ELU(), nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
    model = nn.Sequential(few_wide, nn.Linear(4, 1))

    assert roles(model, torch.randn(2, 4)) == [("elu", MAIN), ("relu", OTHER), ("relu", OTHER)]


def test_parameters_make_no_other_function():
    slopes = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.2), nn.Linear(4, 4), nn.LeakyReLU(), nn.Linear(4, 1))

    assert [role for _, role in roles(slopes, torch.randn(2, 4))] == [MAIN, MAIN]


def test_glu_is_the_main_function_where_there_is_no_other():
    model = nn.Sequential(nn.Linear(4, 8), nn.GLU(), nn.Linear(4, 1), nn.Sigmoid())

    assert roles(model, torch.randn(2, 4)) == [("glu", MAIN), ("sigmoid", "output")]


def test_a_shared_module_is_an_output_if_it_ever_bounds_the_output():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c, self.tanh = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1), nn.Tanh()

        def forward(self, x):
            return self.tanh(self.c(self.tanh(F.relu(self.b(torch.relu(self.a(x)))))))

    assert roles(Shared(), torch.randn(2, 4))[-1] == ("tanh", "output")
