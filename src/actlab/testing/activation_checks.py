"""Conformance checks of an activation (values, gradients, tails, shapes, torch modes).

Every entry of the catalogue passes them; run them on your own activations with pytest:

    from actlab.testing import CHECKS, reason_to_skip

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_activation(check):
        check("my_activation")

A gradient rule has its own checks: ``for check in RULE_CHECKS: check("relu/my_rule")``.

A check takes a spec and raises ``AssertionError`` with the values. :func:`reason_to_skip` tells which checks do not apply to a function.
Tolerances come from ``TOLERANCE``, by dtype, each with its reason, see :mod:`actlab.testing.reference`.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from functools import partial
from math import inf, nan
from typing import Any

import torch
from torch import Tensor

from actlab.codegen import pytorch
from actlab.functions import formula
from actlab.functions.activation import Parameter
from actlab.functions.analysis.facts import violated_claims
from actlab.functions.formula import derivative
from actlab.functions.grammar import parse
from actlab.functions.spec import Spec
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.testing.complex_checks import COMPLEX_CHECKS, total
from actlab.testing.reference import (
    CHANNELS,
    DTYPES,
    TOLERANCE,
    assert_near,
    build_layer,
    condition,
    gradient_condition,
    reference_values,
    sample,
    value_condition,
    with_fixed_parameters,
)

__all__ = ["CHECKS", "reason_to_skip"]

TAILS = (-inf, -1e4, -1e2, -0.0, 0.0, 1e2, 1e4, inf, nan)

# Sums whose terms tend to opposite infinities, as x^2 + x at minus infinity: the limit exists, but arithmetic at infinity gives NaN.
OPPOSITE_INFINITIES = {"shifted_quadratic_unit", "smu", "smu1", "uaf", "xielu"}


def reason_to_skip(check: Callable[[str], None], spec: str | Spec) -> str | None:
    """Return why the check does not apply to the spec, or None if it does.

    Example:
        >>> reason_to_skip(derivative_agrees_with_finite_differences, "softmax")
        'softmax is a vector function: it has no formula in one symbol (gradcheck compares its gradients)'
    """
    spec = parse(spec)
    kind = spec.activation.kind
    if check in COMPLEX_CHECKS and kind != "complex":
        return f"{spec} is no function of complex numbers"
    if check in NEED_REAL and kind == "complex":
        return f"{spec} is a complex function: complex_checks has a check in place of this one"
    if check in NEED_ELEMENTWISE and kind != "elementwise":
        return f"{spec} is a {kind} function: it has no formula in one symbol (gradcheck compares its gradients)"
    if check is formula_agrees_with_the_native and pytorch.native(spec) is None:
        return f"{spec} has no fused kernel in torch"
    return None


def formula_agrees_with_the_native(spec: str) -> None:
    """Formula and torch's fused kernel have equal values and gradients on [-8, 8], in float64 and float32."""
    for dtype in DTYPES[:2]:
        x = sample(spec, dtype)
        formula_results, native_results = (
            value_and_gradient(build_layer(spec, native=native, dtype=dtype), x) for native in (False, True)
        )
        # F.gelu in float32 cancels in its tail, with an error of up to 2e-6 of the largest value.
        for formula_result, native_result in zip(formula_results, native_results, strict=True):
            torch.testing.assert_close(
                formula_result, native_result, rtol=TOLERANCE[dtype][0], atol=2e-6 if dtype is torch.float32 else 1e-8
            )


def value_agrees_with_float64_in_every_dtype(spec: str) -> None:
    """The torch code gives the formula (or the tensor code in float64) rounded to the dtype, on [-8, 8]."""
    is_vector = parse(spec).activation.kind == "vector"
    for dtype in DTYPES:
        x = sample(spec, dtype)
        got, want = build_layer(spec, native=False, dtype=dtype)(x), reference_values(spec, x)
        assert got.dtype == dtype
        scale = want.abs().amax().item() if is_vector else 0.0  # sums over elements may cancel
        assert_near(got, want, dtype, f"{spec} in {dtype}", scale=scale, condition=value_condition(spec, x))


def derivative_agrees_with_finite_differences(spec: str) -> None:
    """The symbolic derivative is the slope of the formula: central differences in float64, step 1e-6."""
    x = sample(spec)
    step = 1e-6
    slope = (reference_values(spec, x + step) - reference_values(spec, x - step)) / (2 * step)
    torch.testing.assert_close(reference_values(spec, x, order=1), slope, rtol=1e-6, atol=1e-7)


def derivative_agrees_with_autograd(spec: str) -> None:
    """Autograd through the torch code gives the symbolic derivative, in float64 and float32."""
    for dtype in DTYPES[:2]:
        x = sample(spec, dtype)
        _, gradient = value_and_gradient(build_layer(spec, native=False, dtype=dtype), x)
        want = reference_values(spec, x, order=1)
        assert_near(
            gradient,
            want,
            dtype,
            f"gradient of {spec} in {dtype}",
            condition=partial(gradient_condition, spec, x),
        )


def tails_are_right_in_every_dtype(spec: str) -> None:
    """At +-1e2, +-1e4, +-inf, +-0 the value is the limit rounded to the dtype, NaN stays NaN, and finite inputs have finite gradients.

    For vector and stochastic functions the finite ones of these are mixed in one row (softmax of an infinity is NaN by definition). The
    value must be finite in float64, and value and gradient wherever the dtype can represent them.
    """
    for dtype in DTYPES:
        x = _tails(spec).to(dtype)
        value, gradient = value_and_gradient(build_layer(spec, native=False, dtype=dtype), x)
        want = reference_values(spec, x).to(dtype)  # infinite where the true value overflows the dtype
        kind = parse(spec).activation.kind
        if kind in {"elementwise", "gated"}:
            # A learned parameter that is exactly 0 times infinity is NaN: the limit is that with fixed parameters.
            infinite = x.isinf() if kind == "elementwise" else x.chunk(2, dim=-1)[1].isinf()
            value = torch.where(infinite, build_layer(with_fixed_parameters(spec), native=False, dtype=dtype)(x), value)
        if kind == "elementwise":
            _assert_nan_and_limits(spec, x, want)
            want = torch.where(x.isnan() & value.isnan(), value, want)  # a step by NumPy takes a branch at NaN
        if kind in {"elementwise", "gated"}:
            assert_near(value, want, dtype, f"tails of {spec} in {dtype}", condition=value_condition(spec, x))
        else:
            assert reference_values(spec, x).isfinite().all(), (
                f"{spec} overflows float64 at finite inputs: {reference_values(spec, x)}"
            )
            assert value[want.isfinite()].isfinite().all(), f"tails of {spec} in {dtype}: {value}"
        fits = x.isfinite() & _reference_gradient(spec, x).to(dtype).isfinite()
        assert gradient[fits].isfinite().all(), (
            f"gradient of {spec} in {dtype} at {x[fits].tolist()}: {gradient[fits].tolist()}"
        )


def _assert_nan_and_limits(spec: str | Spec, x: Tensor, want: Tensor) -> None:
    record = parse(spec).activation
    is_step = derivative(record.formula, record.inputs[0]) == 0  # only comparisons: NaN falls into a branch
    assert is_step or want[x.isnan()].isnan().all(), f"{spec} hides NaN: it gives {want[x.isnan()].tolist()}"
    oscillates = record.formula.has(formula.sin, formula.cos, formula.sinc)  # without a limit
    exempt = oscillates or record.name in OPPOSITE_INFINITIES
    assert exempt or not want[x.isinf()].isnan().any(), f"{spec} has no limit: {want[x.isinf()].tolist()}"


def _tails(spec: str | Spec) -> Tensor:
    """Return the inputs at which the tails of a function are checked."""
    kind = parse(spec).activation.kind
    tails = torch.tensor(TAILS)
    if kind == "elementwise":
        return tails.repeat(CHANNELS, 1).T.contiguous()
    if kind == "gated":
        values_and_gates = torch.cartesian_prod(torch.tensor([-2.0, 0.5]), tails)
        return values_and_gates.repeat_interleave(2, dim=1)  # two values, two gates
    finite = tails[tails.isfinite()]
    return torch.stack([finite.roll(shift).repeat(6)[: 8 * CHANNELS].view(CHANNELS, 8) for shift in range(len(finite))])


def _reference_gradient(spec: str | Spec, x: Tensor) -> Tensor:
    if parse(spec).activation.kind == "elementwise":
        return reference_values(spec, x, order=1).abs() + 4 * torch.finfo(torch.float32).eps * condition(spec, x, 2)
    return value_and_gradient(build_layer(spec, native=False, dtype=torch.float64), x.double())[1]


def gradients_of_learned_parameters_are_right(spec: str) -> None:
    """With all learnable parameters learned, gradcheck passes in float64, and the function depends on each of them."""
    parsed = parse(spec)
    names = [parameter.name for parameter in parsed.activation.parameters if parameter.learnable]
    text = (
        f"{parsed.activation.name}({', '.join(f'{name}=learned' for name in names)})"
        if names
        else parsed.activation.name
    )
    module = build_layer(text, native=False, dtype=torch.float64)
    x = sample(spec)[:1, :, ::2].contiguous().requires_grad_()
    parameters = [parameter for _, parameter in module.named_parameters()]
    assert len(parameters) == len(names)
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *parameters), atol=1e-6)
    unused = [p.name for p in parsed.activation.parameters if p.learnable and not _matters(p, module, sample(spec))]
    assert not unused, f"{spec} does not depend on {', '.join(unused)}"


def _matters(parameter: Parameter, module: ActivationLayer, x: Tensor) -> bool:
    """Whether another value of a learned parameter changes the output in training mode, near zero or far from it."""
    x = torch.cat([x, 40 * x])
    outputs = []
    for value in (0.25, -0.25, 40 * parameter.default, 1e-6 * parameter.default):
        moved = copy.deepcopy(module).train()
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            for name, other in moved.named_parameters():  # the others as well: one that is 0 can mask another
                other.fill_(value) if name == parameter.name else other.add_(0.25)
            outputs.append(moved(x).nan_to_num())
    return any(not torch.equal(output, outputs[0]) for output in outputs)


def any_shape_is_taken(spec: str) -> None:
    """Empty, 0-d, 1-d, non-contiguous and channels-last inputs give the right shape, and the input is unchanged."""
    module = build_layer(spec)
    parsed = parse(spec)
    dtype = sample(parsed, torch.float32).dtype
    any_rank = parsed.activation.kind in {"elementwise", "stochastic", "complex"} and "dim" not in parsed.values
    small: list[tuple[int, ...]] = [(0,), (), (5,)] if any_rank and not parsed.needs_channels else []
    for shape in [(0, 4), (4, 4), (2, 4, 6), (2, 4, 2, 6), *small]:
        x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
        before = x.clone()
        got, want = tuple(module(x).shape), ((*shape[:-1], parsed.width(shape[-1])) if shape else ())
        assert got == want, f"{spec} makes {got} of {shape}, not {want}"
        assert torch.equal(x, before), f"{spec} changes its input"
    x = torch.randn(4, 6, 4, 8, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for view in (x.transpose(0, 2), x[:, 1:5], x.to(memory_format=torch.channels_last)):
        shaped = view if view.shape[1] == CHANNELS else view.transpose(1, 2)
        torch.testing.assert_close(module(shaped), module(shaped.contiguous()), rtol=1e-6, atol=1e-6)


def claims_hold(spec: str) -> None:
    """The claims of the record hold: on the formula, or on samples of tensor code."""
    violated = violated_claims(spec) if parse(spec).activation.kind == "elementwise" else _violated_on_samples(spec)
    assert not violated, "; ".join(violated)


def _violated_on_samples(spec: str | Spec) -> list[str]:
    """Return a sentence for each claim of a gated, vector or stochastic function that does not hold on samples."""
    parsed = parse(spec)
    dim = int(parsed.numbers.get("dim", -1))
    module, x = build_layer(parsed, dtype=torch.float64), sample(spec)
    y, order = module(x), torch.arange(x.shape[dim] - 1, -1, -1)
    norms = x.norm(dim=dim), y.norm(dim=dim)
    holds: dict[str, Callable[[Any], bool]] = {
        "lower": lambda bound: bool((y >= bound).all()),
        "upper": lambda bound: bool((y <= bound).all()),
        "zero": lambda claim: bool((module(torch.zeros_like(x)) == 0).all()) == claim,
        "simplex": lambda claim: bool((y >= 0).all() and ((y.sum(dim) - 1).abs() < 1e-12).all()) == claim,
        "equivariant": lambda claim: (
            torch.allclose(module(x.index_select(dim, order)), y.index_select(dim, order), rtol=0, atol=1e-12) == claim
        ),
        "norm": lambda how: bool(
            (norms[1] <= norms[0] + 1e-12).all() and (how == "shrunk" or (norms[1] >= norms[0] - 1e-12).all())
        ),
    }
    return [
        f"{parsed}: {name} is claimed to be {claim}"
        + ("" if name in holds else ", which cannot be measured on samples")
        for name, claim in parsed.activation.claims
        if name not in holds or not holds[name](claim)
    ]


def pickle_deepcopy_and_state_dict_round_trip(spec: str) -> None:
    """Copies by pickle, deepcopy and state_dict have equal outputs."""
    module, x = build_layer(spec), sample(spec, torch.float32)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    restored = build_layer(spec)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module), restored):  # noqa: S301 pickled in the same line
        assert torch.equal(other(x), module(x))


def compiles_to_one_graph(spec: str) -> None:
    """torch.compile(fullgraph=True) compiles forward and backward, with equal results."""
    module, x = build_layer(spec), sample(spec, torch.float32)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for result, eager in zip(value_and_gradient(compiled, x), value_and_gradient(module, x), strict=True):
        torch.testing.assert_close(result, eager, rtol=1e-6, atol=1e-6)
    torch._dynamo.reset()  # the next spec is another graph of the same code object


def func_transforms_agree(spec: str) -> None:
    """torch.func's vmap, grad, vmap(grad) and jvp agree with plain evaluation and autograd."""
    module, x = build_layer(spec, dtype=torch.float64), sample(spec)
    value, gradient = value_and_gradient(module, x)
    torch.testing.assert_close(torch.func.vmap(lambda row: module(row[None])[0])(x), value)
    torch.testing.assert_close(torch.func.grad(lambda x: module(x).sum())(x), gradient)
    per_sample = torch.func.vmap(torch.func.grad(lambda row: module(row[None]).sum()))(x)
    torch.testing.assert_close(per_sample, gradient)
    tangent = torch.func.jvp(module, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(tangent.sum(), gradient.sum())


def double_backward_is_right(spec: str) -> None:
    """Gradgradcheck passes in float64, for the formula and for torch's fused kernel."""
    x = sample(spec)[:1, :, ::2].contiguous().requires_grad_()
    for native in (False, True):
        module = build_layer(spec, native=native, dtype=torch.float64)
        assert torch.autograd.gradgradcheck(lambda x, module=module: module(x) * 1.0, (x,), atol=1e-5)


def autocast_keeps_the_dtype(spec: str) -> None:
    """Under autocast a bfloat16 input gives a bfloat16 output, close to the float32 one."""
    module, x = build_layer(spec), sample(spec, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = module(x)
    assert got.dtype == torch.bfloat16, f"{spec} makes {got.dtype} of bfloat16"
    torch.testing.assert_close(got.float(), module(x.float()), rtol=2**-7, atol=2**-8)


def meta_tensors_give_shapes(spec: str) -> None:
    """On the meta device the layer gives the right shape."""
    module = build_layer(spec).to("meta")
    x = sample(spec, torch.float32)
    assert module(x.to("meta")).shape == build_layer(spec)(x).shape


def value_and_gradient(module: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the output, and the gradient of its sum in the input (of complex outputs, that of the sum of their parts)."""
    x = x.detach().clone().requires_grad_()
    value: Any = module(x)
    gradient = torch.autograd.grad(total(value), x)[0]
    return value.detach(), gradient


CHECKS: tuple[Callable[[str], None], ...] = (
    formula_agrees_with_the_native,
    value_agrees_with_float64_in_every_dtype,
    derivative_agrees_with_finite_differences,
    derivative_agrees_with_autograd,
    tails_are_right_in_every_dtype,
    gradients_of_learned_parameters_are_right,
    any_shape_is_taken,
    claims_hold,
    pickle_deepcopy_and_state_dict_round_trip,
    compiles_to_one_graph,
    func_transforms_agree,
    double_backward_is_right,
    autocast_keeps_the_dtype,
    meta_tensors_give_shapes,
    *COMPLEX_CHECKS,
)

NEED_REAL = {
    value_agrees_with_float64_in_every_dtype,
    tails_are_right_in_every_dtype,
    func_transforms_agree,
    autocast_keeps_the_dtype,
}
NEED_ELEMENTWISE = {
    derivative_agrees_with_finite_differences,
    derivative_agrees_with_autograd,
}
