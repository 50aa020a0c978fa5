"""The public judge of an activation: the checks that every entry of the catalogue passes, ready for your own.

    from actlab.testing import CHECKS, reason_to_skip

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_my_activation(check):
        check("my_activation")

A check takes a spec and raises ``AssertionError`` with the numbers. A check that does not apply to a kind of function says so by
:func:`reason_to_skip`. Tolerances come from :data:`TOLERANCE`, by dtype, each with its reason.
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

from actlab.functions import formula
from actlab.functions.evaluate import numeric
from actlab.functions.facts import breakpoints, violated_claims
from actlab.functions.formula import derivative
from actlab.functions.spec import Spec, parse
from actlab.models.layer import ActivationLayer, layer
from actlab.readings import torch as reading

__all__ = ["CHECKS", "TOLERANCE", "reason_to_skip"]

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
TOLERANCE = {
    torch.float64: (1e-11, 1e-13),  # relative, absolute: about ten roundings, amplified by condition numbers up to 1e4
    torch.float32: (4e-6, 2e-7),  # the same ten roundings; natives cancel 1 + erf below x = -3, hence the absolute part
    torch.bfloat16: (2**-8, 2e-7),  # computed in float32 and rounded once, to 8 bits
    torch.float16: (2**-10, 6e-8),  # the same to 11 bits; 6e-8 is the smallest subnormal
}
TAILS = (-inf, -1e4, -1e2, -0.0, 0.0, 1e2, 1e4, inf, nan)
CHANNELS = 4
# torch 2.13 has no second derivative of this kernel (a test of ours fails once it has); layer(spec, native=False) does.
NATIVES_WITHOUT_DOUBLE_BACKWARD = {"hardsigmoid"}


def reason_to_skip(check: Callable[[str], None], spec: str | Spec) -> str | None:
    """Return why the check does not apply to the spec, or None if it does.

    Example:
        >>> reason_to_skip(derivative_agrees_with_finite_differences, "softmax")
        'softmax is a vector function: it has no formula in one symbol'
    """
    spec = parse(spec)
    kind = spec.activation.kind
    if check in NEED_FORMULA and spec.activation.expression is None:
        return f"{spec} is a {kind} function: it has no formula in one symbol"
    if check in NEED_ELEMENTWISE and kind != "elementwise":
        return f"{spec} is a {kind} function: the check is about one input"
    if check in NEED_NATIVE and reading.native(spec) is None:
        return f"{spec} has no fused native in torch"
    if check is func_transforms_agree and kind == "stochastic":
        return f"{spec} is drawn by an operator that torch.func.vmap does not know (aten::rrelu)"
    return None


def built(spec: str | Spec, *, native: bool = True, dtype: torch.dtype = torch.float32) -> ActivationLayer:
    """Return the layer in evaluation mode, with 4 channels where it needs them."""
    half = dtype in reading.HALF  # parameters stay in float32 beside half-precision inputs, as under AMP
    return layer(parse(spec), channels=CHANNELS, native=native, dtype=torch.float32 if half else dtype).eval()


def sample(spec: str | Spec, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return an input of shape (6, 4, 8): a grid over [-8, 8] that avoids the breakpoints, where no derivative exists."""
    parsed = parse(spec)
    grid = torch.linspace(-8, 8, 192, dtype=torch.float64) + 1e-3
    if parsed.activation.kind == "elementwise":
        expression = parsed.activation.formula.xreplace({p.symbol: p.default for p in parsed.activation.parameters})
        for point in breakpoints(expression, parsed.activation.inputs[0]):
            grid = torch.where((grid - point).abs() < 1e-2, grid + 2e-2, grid)
    return grid.view(6, CHANNELS, 8).to(dtype)


def with_numbers(spec: str | Spec) -> Spec:
    """Return the spec with every learned parameter held at its initial value."""
    parsed = parse(spec)
    return Spec(parsed.activation, tuple(parsed.numbers.items()))


def swayed(spec: str | Spec, x: Tensor, order: int) -> Tensor:
    """Return ``|x g'(x)|``, where g is the derivative before ``order``: what a relative error of the input does to it."""
    return (x.double() * expected(spec, x, order=order)).abs().nan_to_num()


def gradient_sway(spec: str | Spec, x: Tensor) -> Tensor:
    """Return the sway of the slope, and its largest value: autograd's ``1 - tanh^2`` keeps no digit where the slope vanishes."""
    return swayed(spec, x, 2) + expected(spec, x, order=1).abs().max()


def expected(spec: str | Spec, x: Tensor, *, order: int = 0) -> Tensor:
    """Return the formula's derivative of that order at ``x`` by NumPy in float64: the reference of the torch reading."""
    parsed = parse(spec)
    record = parsed.activation
    expression = record.formula.xreplace({p.symbol: parsed.numbers[p.name] for p in record.parameters})
    for _ in range(order):
        expression = derivative(expression, record.inputs[0])
    return torch.from_numpy(numeric(expression, record.inputs)(x.double().numpy()))


def assert_near(
    got: Tensor, want: Tensor, dtype: torch.dtype, what: str, sway: Callable[[], Tensor] | None = None
) -> None:
    """Raise AssertionError unless equal within the dtype's tolerance; NaN equals NaN.

    Args:
        got: what was computed.
        want: the reference.
        dtype: what it was computed for.
        what: words for the message.
        sway: how much the reference moves where the input moves by a relative 1, asked for only if the tolerance is not kept. A steep
            function, such as ``sin(30 x)``, cannot be known better than its rounded argument: four roundings of it are granted.
    """
    relative, absolute = TOLERANCE[dtype]
    if sway is not None and not torch.allclose(got.double(), want.double(), relative, absolute, equal_nan=True):
        unit = torch.finfo(torch.float32 if dtype in reading.HALF else dtype).eps
        granted = ((got.double() - want.double()).abs() <= absolute + 4 * unit * sway()) & got.isfinite()
        want = torch.where(granted, got.double(), want.double())
    torch.testing.assert_close(
        got.double(), want.double(), rtol=relative, atol=absolute, equal_nan=True, msg=lambda m: f"{what}: {m}"
    )


def formula_agrees_with_the_native(spec: str) -> None:
    """The formula is the judge of torch's fused kernel: equal values and gradients on [-8, 8], in float64 and float32."""
    for dtype in DTYPES[:2]:
        x = sample(spec, dtype)
        ours, theirs = (_value_and_gradient(built(spec, native=native, dtype=dtype), x) for native in (False, True))
        # F.gelu in float32 cancels in its tail; 2e-6 of the largest value is the bound its own kernel keeps
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(
                mine, other, rtol=TOLERANCE[dtype][0], atol=2e-6 if dtype is torch.float32 else 1e-8
            )


def value_agrees_with_float64_in_every_dtype(spec: str) -> None:
    """The torch reading is the formula rounded to the dtype, on [-8, 8]."""
    for dtype in DTYPES:
        x = sample(spec, dtype)
        got = built(spec, native=False, dtype=dtype)(x)
        assert got.dtype == dtype
        assert_near(got, expected(spec, x), dtype, f"{spec} in {dtype}", partial(swayed, spec, x, 1))


def derivative_agrees_with_finite_differences(spec: str) -> None:
    """The symbolic derivative is the slope of the formula: central differences in float64, step 1e-6."""
    x = sample(spec)
    step = 1e-6
    slope = (expected(spec, x + step) - expected(spec, x - step)) / (2 * step)
    torch.testing.assert_close(expected(spec, x, order=1), slope, rtol=1e-6, atol=1e-7)


def derivative_agrees_with_autograd(spec: str) -> None:
    """Autograd through the printed code gives the symbolic derivative, in float64 and float32."""
    for dtype in DTYPES[:2]:
        x = sample(spec, dtype)
        _, gradient = _value_and_gradient(built(spec, native=False, dtype=dtype), x)
        want = expected(spec, x, order=1)
        assert_near(
            gradient,
            want,
            dtype,
            f"gradient of {spec} in {dtype}",
            partial(gradient_sway, spec, x),
        )


def tails_are_right_in_every_dtype(spec: str) -> None:
    """At +-1e2, +-1e4, +-inf, +-0 the value is the limit rounded to the dtype, NaN stays NaN, and finite inputs have finite gradients."""
    for dtype in DTYPES:
        x = torch.tensor(TAILS).to(dtype)
        shaped = x.repeat(CHANNELS, 1).T.contiguous()
        value, gradient = _value_and_gradient(built(spec, native=False, dtype=dtype), shaped)
        # A learned parameter that is exactly 0 has no product with infinity: the limit is that of the numbers.
        value = torch.where(shaped.isinf(), built(with_numbers(spec), native=False, dtype=dtype)(shaped), value)
        want = expected(spec, x).to(dtype)  # overflows to the dtype's infinity where the true value does
        assert want[x.isnan()].isnan().all(), f"{spec} hides NaN: it gives {want[x.isnan()].tolist()}"
        oscillates = parse(spec).activation.formula.has(formula.sin, formula.cos)  # then there is no limit
        assert oscillates or not want[x.isinf()].isnan().any(), f"{spec} has no limit: {want[x.isinf()].tolist()}"
        assert_near(value[:, 0], want, dtype, f"tails of {spec} in {dtype}", partial(swayed, spec, x, 1))
        slope = expected(spec, x, order=1).abs() + 4 * torch.finfo(torch.float32).eps * swayed(spec, x, 2)
        fits = x.isfinite() & slope.to(dtype).isfinite()
        assert gradient[fits].isfinite().all(), (
            f"gradient of {spec} in {dtype} at {x[fits].tolist()}: {gradient[fits][:, 0].tolist()}"
        )


def gradients_of_learned_parameters_are_right(spec: str) -> None:
    """With every parameter learned, gradcheck compares all gradients with finite differences in float64."""
    parsed = parse(spec)
    names = [parameter.name for parameter in parsed.activation.parameters]
    text = (
        f"{parsed.activation.name}({', '.join(f'{name}=learned' for name in names)})"
        if names
        else parsed.activation.name
    )
    module = built(text, native=False, dtype=torch.float64)
    x = sample(spec)[:1, :, ::2].contiguous().requires_grad_()
    parameters = [parameter for _, parameter in module.named_parameters()]
    assert len(parameters) == len(names)
    assert torch.autograd.gradcheck(lambda x, *_: module(x), (x, *parameters), atol=1e-6)


def any_shape_is_taken(spec: str) -> None:
    """Empty, 0-d, 1-d, non-contiguous and channels-last inputs keep their shape, and the input is not changed."""
    module = built(spec)
    gated = parse(spec).activation.kind == "gated"
    small: list[tuple[int, ...]] = [] if gated or parse(spec).needs_channels else [(0,), (), (5,)]
    for shape in [(0, 4), (4, 4), (2, 4, 6), (2, 4, 2, 6), *small]:
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        before = x.clone()
        assert module(x).shape == ((*shape[:-1], shape[-1] // 2) if gated else shape)
        assert torch.equal(x, before)
    x = torch.randn(4, 6, 4, 8, generator=torch.Generator().manual_seed(0))
    for view in (x.transpose(0, 2), x[:, 1:5], x.to(memory_format=torch.channels_last)):
        shaped = view if view.shape[1] == CHANNELS else view.transpose(1, 2)
        torch.testing.assert_close(module(shaped), module(shaped.contiguous()), rtol=1e-6, atol=1e-7)


def claims_hold(spec: str) -> None:
    """What the record claims is what is measured."""
    violated = violated_claims(spec)
    assert not violated, "; ".join(violated)


def pickle_deepcopy_and_state_dict_round_trip(spec: str) -> None:
    """A layer survives pickle, deepcopy and torch.save of its state, with equal outputs."""
    module, x = built(spec), sample(spec, torch.float32)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    restored = built(spec)
    restored.load_state_dict(torch.load(file, weights_only=True))
    for other in (pickle.loads(pickle.dumps(module)), copy.deepcopy(module), restored):  # noqa: S301 pickled two words before
        assert torch.equal(other(x), module(x))


def compiles_to_one_graph(spec: str) -> None:
    """torch.compile(fullgraph=True) traces forward and backward, with equal results."""
    module, x = built(spec), sample(spec, torch.float32)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for mine, other in zip(_value_and_gradient(compiled, x), _value_and_gradient(module, x), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-6, atol=1e-6)
    torch._dynamo.reset()  # the next spec is another graph of the same code object


def func_transforms_agree(spec: str) -> None:
    """torch.func's vmap, grad, vmap(grad) and jvp agree with plain evaluation and autograd."""
    module, x = built(spec, dtype=torch.float64), sample(spec)
    value, gradient = _value_and_gradient(module, x)
    torch.testing.assert_close(torch.func.vmap(lambda row: module(row[None])[0])(x), value)
    torch.testing.assert_close(torch.func.grad(lambda x: module(x).sum())(x), gradient)
    per_sample = torch.func.vmap(torch.func.grad(lambda row: module(row[None]).sum()))(x)
    torch.testing.assert_close(per_sample, gradient)
    tangent = torch.func.jvp(module, (x,), (torch.ones_like(x),))[1]
    torch.testing.assert_close(tangent.sum(), gradient.sum())


def double_backward_is_right(spec: str) -> None:
    """The second derivative by autograd is the slope of the first, by gradgradcheck in float64; of the formula and of the native."""
    x = sample(spec)[:1, :, ::2].contiguous().requires_grad_()
    for native in (False, True):
        module = built(spec, native=native, dtype=torch.float64)
        if native and parse(spec).activation.name in NATIVES_WITHOUT_DOUBLE_BACKWARD:
            continue
        assert torch.autograd.gradgradcheck(lambda x, module=module: module(x) * 1.0, (x,), atol=1e-5)


def autocast_keeps_the_dtype(spec: str) -> None:
    """Under AMP a bfloat16 input gives a finite bfloat16 output, close to the float32 one."""
    module, x = built(spec), sample(spec, torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = module(x)
    if parse(spec).activation.kind != "vector":  # autocast itself promotes softmax to float32
        assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), module(x.float()), rtol=2**-7, atol=2**-8)


def meta_tensors_give_shapes(spec: str) -> None:
    """On the meta device the layer computes shape and dtype without data."""
    module = built(spec).to("meta")
    x = sample(spec, torch.float32)
    assert module(x.to("meta")).shape == built(spec)(x).shape


def _value_and_gradient(module: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().clone().requires_grad_()
    value: Any = module(x)
    gradient = torch.autograd.grad(value.sum(), x)[0]
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
)
NEED_FORMULA = {
    formula_agrees_with_the_native,
    gradients_of_learned_parameters_are_right,
}
NEED_ELEMENTWISE = {
    value_agrees_with_float64_in_every_dtype,
    derivative_agrees_with_finite_differences,
    derivative_agrees_with_autograd,
    tails_are_right_in_every_dtype,
    claims_hold,
}
NEED_FORMULA |= NEED_ELEMENTWISE
NEED_NATIVE = {formula_agrees_with_the_native}
