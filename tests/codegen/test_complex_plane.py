"""Holomorphic formulas on complex tensors agree with mpmath, and the others are refused with their reason."""

from __future__ import annotations

import mpmath as mp
import pytest
import torch
from tests.functions.references import REFERENCES

from actlab.codegen.complex_plane import cardinal_sine, complex_function, obstacle, sigmoid
from actlab.errors import LayerError
from actlab.functions.activation import get, names
from actlab.nn.layers.layer import layer

POINTS = [complex(a, b) for a in (-1.7, -0.3, 0.0, 0.2, 1.4) for b in (-0.9, -0.2, 0.0, 0.6)]
HOLOMORPHIC = [name for name in names("elementwise") if obstacle(get(name)) is None]


def _exact(name, z):
    return complex(REFERENCES[name](mp.mpc(z)))


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_a_holomorphic_formula_is_the_continuation_of_the_papers_definition(name):
    z = torch.tensor(POINTS, dtype=torch.complex128)
    try:
        with mp.workdps(40):
            want = torch.tensor([_exact(name, point) for point in POINTS], dtype=torch.complex128)
    except TypeError:  # the definition compares numbers, which complex ones do not allow
        pytest.skip(f"the definition of {name} is written with comparisons; its derivative is checked below")
    got = layer(name, dtype=torch.float64)(z).detach()

    torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_the_derivative_is_the_same_in_every_direction(name):
    z = torch.tensor(POINTS, dtype=torch.complex128).requires_grad_()
    module = layer(name, dtype=torch.float64)
    (along_real,) = torch.autograd.grad(module(z).real.sum(), z)
    (along_imaginary,) = torch.autograd.grad(module(z).imag.sum(), z)

    torch.testing.assert_close(along_imaginary, 1j * along_real, rtol=1e-9, atol=1e-10)  # Cauchy and Riemann


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_on_the_real_line_it_is_the_real_function(name):
    x = torch.linspace(-3, 3, 21, dtype=torch.float64)
    module = layer(name, dtype=torch.float64)

    torch.testing.assert_close(module(x + 0j).real, module(x), rtol=1e-10, atol=1e-12)


def test_gated_formulas_and_learned_parameters_work_as_for_real_numbers():
    z = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.complex128).requires_grad_()
    value, gate = z.chunk(2, -1)
    module = layer("swiglu(beta=learned_per_channel)", channels=4, dtype=torch.float64)

    torch.testing.assert_close(layer("swiglu")(z), value * gate / (1 + torch.exp(-gate)))
    torch.testing.assert_close(layer("bilinear")(value, gate), value * gate)
    assert torch.autograd.gradcheck(lambda z, _: module(z), (z, module.beta))


def test_the_sigmoid_is_finite_far_out():  # torch 2.13.0's is NaN there: findings/torch_complex_sigmoid_nan.sh
    z = torch.tensor([-1e4 + 1j, -100 - 2j, 100 + 1j], dtype=torch.complex64).requires_grad_()
    (gradient,) = torch.autograd.grad(sigmoid(z).real.sum(), z)

    torch.testing.assert_close(sigmoid(z), torch.tensor([0j, 0j, 1 + 0j], dtype=torch.complex64))
    assert gradient.isfinite().all()


def test_the_cardinal_sine_is_accurate_at_zero():
    z = torch.tensor([0, 1e-9j, 0.5 + 0.5j, 2j], dtype=torch.complex128)
    want = torch.tensor([complex(mp.sinc(mp.mpc(point))) for point in z.tolist()], dtype=torch.complex128)

    torch.testing.assert_close(cardinal_sine(z), want, rtol=1e-14, atol=0)


@pytest.mark.filterwarnings("ignore:ComplexHalf")
def test_half_precision_is_computed_in_single_precision():
    z = torch.tensor([0.3 + 0.2j, -1 + 1j], dtype=torch.complex32)
    got = layer("tanh")(z)

    assert got.dtype == torch.complex32
    torch.testing.assert_close(got.to(torch.complex64), torch.tanh(z.to(torch.complex64)), rtol=2e-3, atol=1e-3)


def test_it_compiles_to_one_graph():
    module = layer("silu")
    z = torch.randn(8, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)

    compiled = torch.compile(module, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(z), module(z))
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("relu", "contains maximum, which is not holomorphic"),
        ("elu", "contains where, which is not holomorphic"),
        ("softsign", "contains absolute"),
        ("gelu", "torch has no complex normal_cdf"),
        ("mish", "torch has no complex softplus"),
        ("softmax", "a vector function is computed on real numbers"),
        ("rrelu", "a stochastic function is computed on real numbers"),
    ],
)
def test_other_functions_are_refused_with_a_reason_and_what_to_take(name, words):
    with pytest.raises(LayerError, match=f"{words}.*modrelu"):
        layer(name)(torch.ones(3, dtype=torch.complex64))


def test_integers_are_refused_as_before():
    with pytest.raises(LayerError, match=r"computes on floating tensors, got torch\.int64"):
        layer("tanh")(torch.arange(3))


def test_a_constant_has_the_shape_of_its_input():
    constant, _ = complex_function(get("slaf"), (("a0", 2), ("a1", 0), ("a2", 0), ("a3", 0)))

    assert torch.equal(constant(torch.zeros(2, 3, dtype=torch.complex64)), torch.full((2, 3), 2 + 0j))
