"""GPU kernels in Triton's interpreter; on a GPU see test_card.py."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
import torch
from tests.codegen.gpu.interpreter import Interpreter

from actlab.codegen.gpu.kernel import NoTritonError, kernel
from actlab.codegen.gpu.tiling import needs_wide
from actlab.errors import KernelError
from actlab.functions.activation import names
from actlab.functions.grammar import parse
from actlab.nn.layers.layer import layer
from actlab.testing import activation_checks as testing

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

# The interpreter truncates float32 to bfloat16 where a GPU rounds: one unit in the last place of 8 bits instead of half of one. To float16
# it rounds. In float32 the tolerance of the reference holds, also on a GPU.
TOLERANCE = testing.TOLERANCE | {torch.bfloat16: (2**-7 * 1.01, 4e-7), torch.float16: (2**-10 * 1.01, 1.2e-7)}
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
# One of each kind of formula: piecewise linear, sigmoid, normal distribution, tanh, exponential beside a line, logarithms, waves, inverse
# tangent, roots, powers, rounding to whole numbers, two parameters.
REPRESENTATIVE = (
    "relu", "silu", "gelu", "gelu_tanh", "mish", "elu", "softplus", "asinh", "snake", "arctan", "isru", "serf", "rational_pau", "telu",
)  # fmt: skip
GATED = ("swiglu", "geglu", "swiglu_oai", "xatglu")


@pytest.fixture(scope="module")
def interpreter():
    with Interpreter() as found:
        yield found


def numbers_of(spec):
    """Return the learned parameters at their initial values."""
    parsed = parse(spec)
    return [torch.tensor(float(parsed.numbers[name])) for name in kernel(parsed).learned]


def reference(spec, x, grad, gate="second", channels=None):
    """Return value, gradient of the input, and gradients of the parameters, by torch code in float64."""
    module = layer(spec, native=False, dtype=torch.float64, gate=gate, channels=channels)
    x = x.double().requires_grad_()
    y = module(x)
    parameters = list(module.parameters())
    found = torch.autograd.grad(y, [x, *parameters], grad.double(), allow_unused=True, materialize_grads=True)
    return y.detach(), found[0], found[1:]


def assert_near(got, want, dtype, what, condition=None):
    relative, absolute = TOLERANCE[dtype]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(testing.TOLERANCE, dtype, (relative, absolute))
        testing.assert_near(got, want, dtype, what, condition=condition)


def assert_agrees(interpreter, spec, dtype):
    """Compare both passes with the float64 reference, on [-8, 8]."""
    x = testing.sample(spec, dtype)
    parameters = numbers_of(spec)
    elementwise = parse(spec).activation.kind == "elementwise"
    y = interpreter.forward(spec, x, *parameters)
    grad = torch.linspace(0.5, 2, y.numel(), dtype=torch.float64).view(y.shape).to(dtype)

    dx, *found = interpreter.backward(spec, grad, x, *parameters)

    value, slope, sums = reference(spec, x, grad)
    assert y.dtype == dx.dtype == dtype
    assert_near(y, value, dtype, f"{spec} in {dtype}", (lambda: testing.condition(spec, x, 1)) if elementwise else None)
    condition = (lambda: grad.double() * testing.gradient_condition(spec, x)) if elementwise else None
    assert_near(dx, slope, dtype, f"gradient of {spec} in {dtype}", condition)
    for name, got, want in zip(kernel(parse(spec)).learned, found, sums, strict=True):
        size = want.abs().item() + (grad.double() * value).abs().sum().item() / 10
        # 192 terms, each with the roundings of a value, that may cancel
        torch.testing.assert_close(
            got.double(),
            want.reshape(got.shape),
            rtol=0,
            atol=2e-5 * size + 1e-6,
            msg=lambda m, n=name: f"{n} of {spec}: {m}",
        )


@needs_triton
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("spec", [*REPRESENTATIVE, *GATED])
def test_both_passes_agree_with_float64(interpreter, spec, dtype):
    assert_agrees(interpreter, spec, dtype)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("spec", [*names("elementwise"), *names("gated")])
def test_both_passes_of_every_entry_agree_with_float64(interpreter, spec):
    for dtype in DTYPES:
        assert_agrees(interpreter, spec, dtype)


TAILS = (-torch.inf, -3e38, -1e20, -1e4, -1e2, -0.0, 0.0, 1e2, 1e4, 1e20, 3e38, torch.inf, torch.nan)


def assert_tails(interpreter, spec):
    """Compare value and slope for extreme inputs with torch code of both, in float32."""
    from actlab.codegen import pytorch

    record = parse(spec).activation
    x = torch.tensor(TAILS)
    numbers = tuple(parse(spec).numbers.items())
    fixed = f"{record.name}({', '.join(f'{name}={value!r}' for name, value in numbers)})" if numbers else spec
    value = pytorch.function(record, numbers)(x)
    slope = pytorch.function(record, numbers, derivative=True)(x)

    y = interpreter.forward(fixed, x)
    (dx,) = interpreter.backward(fixed, torch.ones_like(x), x)

    for got, want, order, what in (
        (y.double(), value.double(), 1, "value"),
        (dx.double(), slope.double(), 2, "slope"),
    ):
        allowed = 4 * torch.finfo(torch.float32).eps * testing.condition(fixed, x, order)
        near = (got - want).abs() <= 4e-6 * want.abs() + allowed + 1e-6
        same = near | (got == want) | (got.isnan() & want.isnan())
        assert same.all(), (
            f"{what} of {spec} at {x[~same].tolist()}: {got[~same].tolist()}, in torch {want[~same].tolist()}"
        )


@needs_triton
@pytest.mark.parametrize("spec", REPRESENTATIVE)
def test_tails_infinities_and_nan_are_those_of_the_torch_reading(interpreter, spec):
    assert_tails(interpreter, spec)


@needs_triton
@pytest.mark.slow
@pytest.mark.parametrize("spec", names("elementwise"))
def test_tails_of_every_entry_are_those_of_the_torch_reading(interpreter, spec):
    assert_tails(interpreter, spec)


@needs_triton
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 5), (2, 5, 7), (2, 5, 3, 4), (1, 5, 70)])
def test_parameters_vary_by_channel(interpreter, shape, dtype):
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    module = layer("elu(alpha=learned_per_channel)", channels=5, native=False, dtype=torch.float64)
    with torch.no_grad():
        module.alpha.copy_(torch.linspace(0.5, 2, 5))
    inputs = x.double().requires_grad_()
    value = module(inputs)
    value.backward(grad.double())
    alpha = module.alpha.detach().float()

    y = interpreter.forward("elu(alpha=learned_per_channel)", x, alpha)
    dx, dalpha = interpreter.backward("elu(alpha=learned_per_channel)", grad, x, alpha)

    assert_near(y, value.detach(), dtype, "value")
    assert_near(dx, inputs.grad, dtype, "slope")
    torch.testing.assert_close(dalpha.double(), module.alpha.grad, rtol=2e-6, atol=2e-6)


@needs_triton
@pytest.mark.parametrize("gate", ["second", "first", "interleaved"])
@pytest.mark.parametrize("shape", [(6, 10), (3, 2, 136), (258,)])
def test_packed_inputs_have_their_gate_in_any_half(interpreter, gate, shape):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    grad = torch.randn((*shape[:-1], shape[-1] // 2), generator=torch.Generator().manual_seed(1))
    value, slope, _ = reference("swiglu", z, grad, gate)

    y = interpreter.forward("swiglu", z, gate=gate)
    (dz,) = interpreter.backward("swiglu", grad, z, gate=gate)

    assert_near(y, value, torch.float32, "value")
    assert_near(dz, slope, torch.float32, "slope")


@needs_triton
def test_gate_and_value_may_be_two_tensors(interpreter):
    gate, value, grad = torch.randn(3, 4, 9, generator=torch.Generator().manual_seed(0)).unbind()
    want, slope, (dalpha,) = reference("xswiglu", torch.cat([value, gate], -1), grad)

    y = interpreter.forward("xswiglu", (gate, value), torch.tensor(0.0))
    (dgate, dvalue), found = interpreter.backward("xswiglu", grad, (gate, value), torch.tensor(0.0))

    assert_near(y, want, torch.float32, "value")
    assert_near(torch.cat([dvalue, dgate], -1), slope, torch.float32, "slope")
    torch.testing.assert_close(found.double(), dalpha.reshape(()), rtol=1e-5, atol=1e-6)


@needs_triton
def test_a_gated_parameter_may_vary_by_channel(interpreter):
    z = torch.randn(2, 3, 4, 10, generator=torch.Generator().manual_seed(0))
    grad = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    value, slope, (dalpha,) = reference("xswiglu(alpha=learned_per_channel(0.5))", z, grad, channels=3)
    alpha = torch.full((3,), 0.5)

    y = interpreter.forward("xswiglu(alpha=learned_per_channel(0.5))", z, alpha)
    dz, found = interpreter.backward("xswiglu(alpha=learned_per_channel(0.5))", grad, z, alpha)

    assert_near(y, value, torch.float32, "value")
    assert_near(dz, slope, torch.float32, "slope")
    torch.testing.assert_close(found.double(), dalpha, rtol=1e-5, atol=1e-6)


@needs_triton
def test_sums_over_many_programs_with_several_tiles_are_whole(interpreter):
    x = torch.randn(5001, generator=torch.Generator().manual_seed(0))
    grad = torch.randn(5001, generator=torch.Generator().manual_seed(1))
    _, _, (want,) = reference("prelu", x, grad)
    got = interpreter.call(_with_few_programs, "prelu", grad, x, torch.tensor(0.25))

    again = interpreter.call(_with_few_programs, "prelu", grad, x, torch.tensor(0.25))

    torch.testing.assert_close(got.double(), want.reshape(()), rtol=1e-5, atol=1e-5)
    assert torch.equal(got, again)


def _with_few_programs(spec, grad, x, *parameters):
    from actlab.codegen.gpu import kernel as gpu

    gpu.PROGRAMS = 3
    try:
        return gpu.GpuKernel(parse(spec), block=256).backward(grad, x, *parameters)[1]
    finally:
        gpu.PROGRAMS = 2048


@needs_triton
def test_places_of_64_bits_give_the_same(interpreter):
    x = torch.randn(7, 300, generator=torch.Generator().manual_seed(0))

    assert torch.equal(interpreter.forward("gelu", x, wide=True), interpreter.forward("gelu", x))
    assert torch.equal(interpreter.forward("geglu", x, wide=True), interpreter.forward("geglu", x))


@pytest.mark.parametrize(
    ("numbers", "wide"), [(2**20, False), (2**31 - 2**14, False), (2**31 - 1, True), (2**32, True)]
)
def test_places_have_64_bits_where_a_tile_could_reach_beyond_31(numbers, wide):
    assert needs_wide(numbers) == wide


@needs_triton
def test_empty_and_single_numbers_are_taken(interpreter):
    assert interpreter.forward("gelu", torch.empty(0, 4)).shape == (0, 4)
    assert interpreter.forward("geglu", torch.empty(0, 4)).shape == (0, 2)
    assert interpreter.backward("prelu", torch.empty(0), torch.empty(0), torch.tensor(0.25))[1] == 0
    torch.testing.assert_close(interpreter.forward("tanh", torch.tensor(0.5)), torch.tanh(torch.tensor(0.5)))


@needs_triton
def test_results_may_be_written_over_the_input_and_the_gradient(interpreter):
    x, grad = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0)).unbind()
    want, (slope,) = interpreter.forward("mish", x), interpreter.backward("mish", grad, x)

    y, dx = interpreter.call(_in_place, x, grad)

    assert torch.equal(y, want)
    assert torch.equal(dx, slope)


def _in_place(x, grad):
    found = kernel(parse("mish"))
    (dx,) = found.backward(grad, x, out=grad)
    assert dx is grad
    assert found.forward(x, out=x) is x
    return x, dx


@needs_triton
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k, x: k.forward(x.t()), "call x.contiguous"),
        (lambda k, x: k.forward(x.double()), "float32, bfloat16 or float16"),
        (lambda k, x: k.forward(x, torch.tensor(1.0)), "learns nothing; got 1"),
        (lambda k, x: k.forward((x, x)), r"takes \(x\) of one shape"),
        (lambda k, x: k.forward(x, out=x[:1]), "writes to a contiguous tensor"),
        (lambda k, x: k.backward(x[:1], x), "The gradient of mish has shape"),
        (lambda _, x: kernel(parse("swiglu")).forward(x), "an even last dimension"),
        (lambda _, x: kernel(parse("prelu")).forward(x, torch.ones(5)), "has 5 channels in dimension 1"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_what_would(monkeypatch, call, message):
    monkeypatch.setenv("TRITON_INTERPRET", "1")  # only read: nothing gets as far as a kernel

    with pytest.raises(KernelError, match=message):
        call(kernel(parse("mish")), torch.randn(2, 3))


@needs_triton
@pytest.mark.parametrize("count", [1, 2047, 2048, 2049])
def test_nothing_beyond_the_end_is_written(interpreter, count):
    """The last tile is cut: what lies behind the output in memory stays."""
    before, after = interpreter.call(_surroundings, count)

    assert torch.equal(before, torch.full((8,), 7.0))
    assert torch.equal(after, torch.full((4096,), 7.0))


def _surroundings(count):
    from actlab.codegen.gpu import kernel as gpu

    room = torch.full((8 + count + 4096,), 7.0)
    found = gpu.GpuKernel(parse("silu"))
    plan = gpu.tiling((count,), packed=False)
    inputs = (torch.ones(count),)
    found._launch("forward", plan, inputs, (*inputs, room[8 : 8 + count]))
    torch.testing.assert_close(room[8 : 8 + count], torch.nn.functional.silu(inputs[0]))
    return room[:8].clone(), room[8 + count :].clone()


class Faulty:
    """An interpreter whose kernels have a piece of their text replaced."""

    def __init__(self, interpreter, old, new):
        self.interpreter, self.old, self.new = interpreter, old, new

    def forward(self, spec, *arguments):
        return self.interpreter.call(_with_fault, "forward", spec, self.old, self.new, arguments)

    def backward(self, spec, *arguments):
        return self.interpreter.call(_with_fault, "backward", spec, self.old, self.new, arguments)


def _with_fault(which, spec, old, new, arguments):
    from actlab.codegen.gpu import kernel as gpu

    with pytest.MonkeyPatch.context() as patch:
        text = gpu.text(parse(spec))
        assert old in text
        patch.setattr(gpu, "text", lambda _: text.replace(old, new))
        return getattr(gpu.GpuKernel(parse(spec)), which)(*arguments)


@needs_triton
@pytest.mark.parametrize(
    ("spec", "old", "new"),
    [
        ("silu", "sigmoid(x, EXACT)", "sigmoid(1.0001*x, EXACT)"),
        ("silu", "(grad*(", "(1.0001*grad*("),
        ("swiglu", "x0, x1 = read_packed", "x1, x0 = read_packed"),
        ("swiglu", "inside, dx0, dx1,", "inside, dx1, dx0,"),
        ("prelu", "tl.where(inside, dp0, 0.0)", "1.0001*dp0"),
        ("mish", "inside = within(row, column, rows, width, size, FLAT)", "inside = column < 190"),
    ],
)
def test_planted_faults_are_found(interpreter, spec, old, new):
    with pytest.raises(AssertionError):
        assert_agrees(Faulty(interpreter, old, new), spec, torch.float32)


def test_without_triton_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    with pytest.raises(NoTritonError, match=r"pip install 'actlab\[gpu\]'"):
        kernel(parse("gelu")).forward(torch.ones(3))


@needs_triton
def test_without_a_card_the_message_says_what_to_do():
    with pytest.raises(NoTritonError, match="TRITON_INTERPRET=1"):
        kernel(parse("gelu")).forward(torch.ones(3))


def test_actlab_imports_without_triton():
    code = "import sys, actlab, actlab.codegen.gpu.kernel, actlab.codegen.gpu.disassembly; sys.exit('triton' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tensor_code_has_no_kernel():
    with pytest.raises(TypeError, match="has no formula"):
        kernel(parse("softmax"))
