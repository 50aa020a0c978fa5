"""Custom gradient layers: every rule in every mode of torch against its definition; memory, noise, learned parameters, planted faults."""

from __future__ import annotations

import copy
import io
import re
import threading
import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

from actlab.codegen import counter_rng, pytorch
from actlab.errors import LayerError
from actlab.functions.formula.evaluate import numeric
from actlab.functions.grammar import parse
from actlab.functions.rule import get_rule, rules
from actlab.nn.layers import custom_gradient
from actlab.nn.layers.activation_layer import ActivationLayer
from actlab.nn.layers.custom_gradient import CustomGradientLayer
from actlab.nn.layers.layer import layer
from actlab.nn.probes.saved_tensors import saved_bytes

FORWARD = {
    "through": "dorefa",
    "ewgs": "dorefa",
    "shuffled": "sigmoid",
    "leaky_spike": "step",
    "stochastic_spike": "step",
}
SPECS = [f"{FORWARD.get(name, 'sign')}/{name}" if name != "grad" else "relu/grad(silu)" for name in rules()]
LINEAR = [spec for spec in SPECS if parse(spec).backward.rule.is_linear]
SOME = [
    "sign/constant",
    "sign/rect",
    "sign/arctan",
    "relu/grad(silu)",
    "sign/jam",
    "sign/rectangular_jam",
    "sign/sign_only",
    "dorefa/ewgs",
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 2**-8, torch.float16: 2**-11}
KEY = torch.tensor([11, -22], dtype=torch.int32)


@pytest.fixture(autouse=True)
def _same_key(monkeypatch):
    """Draw the same key always, so that noise can be computed beside the layer."""
    monkeypatch.setattr(counter_rng, "draw_key", lambda device="cpu": KEY.to(device))


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(6, 7, generator=generator, dtype=torch.float64) * 1.3
    grad = torch.randn(6, 7, generator=generator, dtype=torch.float64)
    return x.to(dtype), grad.to(dtype)


def expected(spec: str, x: Tensor, grad: Tensor) -> Tensor:
    """Compute the rule's definition from its formula in NumPy float64, ingredients included."""
    parsed = parse(spec)
    backward, record = parsed.backward, parsed.activation
    at = x.double().numpy()
    formula = parsed.forward.formula
    slope = torch.autograd.functional.vjp(
        pytorch.function(record, tuple(parsed.numbers.items())), x.double(), torch.ones_like(x.double())
    )[1]
    noise = counter_rng.uniform(KEY, x.shape)
    given = {
        "x": at,
        "y": numeric(formula, record.inputs)(at),
        "slope": slope.numpy(),
        "through": ((at >= 0) & (at <= 1)).astype(float),  # of dorefa, the one that is asked for it here
        "u": noise.double().numpy(),
        "normal": counter_rng.normal(KEY, x.shape).double().numpy(),
        "unit": counter_rng.uniform(torch.tensor(counter_rng.FIXED_KEY, dtype=torch.int32), x.shape[1:])
        .double()
        .expand(x.shape)
        .numpy(),
        "shuffled": slope.reshape(-1)[counter_rng.permutation(KEY, x.numel())].reshape(x.shape).numpy(),
        "grad": grad.double().numpy(),
    }
    symbols = sorted(backward.gradient.free_symbols, key=str)
    return torch.from_numpy(numeric(backward.gradient, symbols)(*(given[s.name] for s in symbols)))


def close(got: Tensor, wanted: Tensor, dtype: torch.dtype | None = None) -> None:
    dtype = dtype or got.dtype
    torch.testing.assert_close(got.double(), wanted.double(), rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def pulled(function, x: Tensor, grad: Tensor, **options: object) -> Tensor:
    x = x.clone().requires_grad_()
    (made,) = torch.autograd.grad(function(x), x, grad, **options)
    return made


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("spec", SPECS)
def test_eager_is_the_definition(spec, dtype, kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr(custom_gradient, "can_run_rule_kernel", lambda _: False)
    x, grad = inputs(dtype)
    made = layer(spec)

    got = pulled(made, x, grad)

    assert got.dtype == dtype
    assert made(x).dtype == dtype
    close(got, expected(spec, x, grad), torch.float32 if "noise" in spec and dtype == torch.float64 else dtype)
    assert torch.equal(made(x.clone().requires_grad_()), layer(parse(spec).forward)(x))


@pytest.mark.parametrize("spec", SPECS)
def test_the_construction_for_other_modes_computes_the_same(spec):
    x, grad = inputs(torch.float64)
    made = layer(spec)

    close(pulled(made._in_tensor_code, x, grad), expected(spec, x, grad))
    assert torch.equal(made._in_tensor_code(x), layer(parse(spec).forward)(x))


@pytest.mark.parametrize("spec", SPECS)
def test_under_func(spec):
    x, grad = inputs()
    made = layer(spec)

    _, pull = torch.func.vjp(made, x)
    close(pull(grad)[0], expected(spec, x, grad))
    got = torch.func.grad(lambda z: (made(z) * grad).sum())(x)
    close(got, expected(spec, x, grad))
    per_row = torch.func.vmap(torch.func.grad(lambda z, g: (made(z) * g).sum()), randomness="same")(x, grad)
    if (
        not {"u", "normal", "shuffled"} & set(parse(spec).backward.rule.ingredients) and "fixed_random" not in spec
    ):  # noise goes by place
        close(per_row, expected(spec, x, grad))


@pytest.mark.parametrize("spec", LINEAR)
def test_forward_mode(spec):
    x, grad = inputs()
    made = layer(spec)

    _, moved = torch.func.jvp(made, (x,), (grad,))
    close(moved, expected(spec, x, grad))
    with torch.no_grad(), forward_ad.dual_level():
        dual = made(forward_ad.make_dual(x, grad))
        close(forward_ad.unpack_dual(dual).tangent, expected(spec, x, grad))


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec not in LINEAR])
def test_what_is_no_derivative_has_no_forward_mode(spec):
    x, grad = inputs()

    with pytest.raises((RuntimeError, NotImplementedError), match=r"forward|jvp"):
        torch.func.jvp(layer(spec), (x,), (grad,))


pytestmark = pytest.mark.filterwarnings(
    "ignore:.*should not be instantiated:DeprecationWarning"
)  # torch.compile does so itself


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


COMPILED = {
    "sign/rect",
    "sign/arctan",
    "sign/jam",
    "sign/sign_only",
}  # one of each construction; the others take minutes


@pytest.mark.parametrize("spec", [pytest.param(s, marks=() if s in COMPILED else pytest.mark.slow) for s in SPECS])
def test_compiled(spec):
    x, grad = inputs()
    made = layer(spec)

    close(pulled(compiled(made), x, grad), expected(spec, x, grad))


@pytest.mark.parametrize("spec", [pytest.param(s, marks=() if s in COMPILED else pytest.mark.slow) for s in LINEAR])
def test_compiled_transforms(spec):
    x, grad = inputs()
    made = layer(spec)

    close(compiled(torch.func.grad(lambda z: (made(z) * grad).sum()))(x), expected(spec, x, grad))
    pushed = compiled(lambda z, t: torch.func.jvp(made, (z,), (t,))[1])
    close(pushed(x, grad), expected(spec, x, grad))
    with torch.no_grad():
        close(compiled(lambda z, t: torch.func.jvp(made, (z,), (t,))[1])(x, grad), expected(spec, x, grad))
    if not {"u", "normal", "shuffled", "unit"} & set(parse(spec).backward.rule.ingredients):
        by_row = torch.func.vmap(torch.func.grad(lambda z, g: (made(z) * g).sum()))
        close(compiled(by_row)(x, grad), expected(spec, x, grad))


@pytest.mark.parametrize("spec", ["sign/sign_only", "dorefa/ewgs", "relu/noise"])
def test_a_compiled_transform_refuses_what_it_would_lose(spec):
    x, grad = inputs()
    made = layer(spec)

    with pytest.raises(Exception, match=r"not linear in the gradient|non-Tensor"):
        compiled(torch.func.grad(lambda z: (made(z) * grad).sum()))(x)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("spec", ["sign/rect", "sign/arctan", "sign/jam", "sign/sign_only", "step/stochastic_spike"])
def test_checkpointing_repeats_the_same_noise(spec, reentrant, monkeypatch):
    monkeypatch.undo()  # from here on keys are random, as outside of tests
    x, grad = inputs()
    block = nn.Sequential(layer(spec), nn.Dropout(0.3), layer(spec))

    def run(through_checkpoint: bool) -> Tensor:
        torch.manual_seed(9)
        z = x.clone().requires_grad_()
        y = checkpoint(block, z, use_reentrant=reentrant) if through_checkpoint else block(z)
        y.backward(grad)
        return z.grad

    assert torch.equal(run(True), run(False))


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch is built without torch.distributed")
@pytest.mark.parametrize("spec", ["sign/rect", "sign/arctan", "sign/jam", "sign/sign_only"])
def test_under_distributed_data_parallel(spec, tmp_path, monkeypatch):
    monkeypatch.undo()
    x, grad = inputs()
    model = nn.Sequential(nn.Linear(7, 7), layer(spec))
    torch.manual_seed(3)
    model(x).backward(grad)
    alone = model[0].weight.grad.clone()
    model.zero_grad()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(model)
        torch.manual_seed(3)
        wrapped(x).backward(grad)
        # torch 2.13 joins the group's threads while it holds the interpreter lock, which a thread at the end of its work
        # may be waiting for: let them finish first, or the process waits for ever (seen once on a busy machine).
        time.sleep(0.3)
        del wrapped
    finally:
        torch.distributed.destroy_process_group()

    assert torch.equal(model[0].weight.grad, alone)
    assert alone.abs().sum() > 0


@pytest.mark.parametrize("spec", SOME)
def test_amp(spec):
    x, grad = inputs()
    model = nn.Sequential(nn.Linear(7, 7), layer(spec))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model[0](x)
        y = model[1](hidden)
    hidden.retain_grad()
    y.backward(grad.to(y.dtype))

    assert y.dtype == torch.bfloat16
    close(hidden.grad, expected(spec, hidden.detach(), grad.bfloat16()), torch.bfloat16)
    assert model[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("spec", SPECS)
def test_an_export_is_the_forward_function_alone(spec):
    x, _ = inputs()
    made, plain = nn.Sequential(nn.Linear(7, 7), layer(spec)), parse(spec).forward

    exported = torch.export.export(made, (x,))

    names = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    alone = torch.export.export(nn.Sequential(made[0], layer(plain)), (x,))
    assert names == [str(node.target) for node in alone.graph.nodes if node.op == "call_function"]
    assert torch.equal(exported.module()(x), made(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
@pytest.mark.parametrize("spec", SOME)
def test_a_trace_saves_and_loads(spec):
    x, _ = inputs()
    with torch.no_grad():
        traced = torch.jit.trace(layer(spec), x)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)

    assert torch.equal(torch.jit.load(file)(x), layer(spec)(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning")
@pytest.mark.parametrize("spec", SOME)
def test_the_exporter_that_traces_sees_the_forward_function_alone(spec, monkeypatch):
    x = inputs()[0].requires_grad_()
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)  # as torch.onnx.export says while it traces

    graphs = [str(torch.jit.trace(made, x).inlined_graph) for made in (layer(spec), layer(parse(spec).forward))]

    kinds = [re.findall(r"aten::\w+", graph) for graph in graphs]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("spec", SOME)
def test_on_the_meta_device_and_empty(spec):
    x = torch.ones(3, 4, device="meta", requires_grad=True)

    assert layer(spec)(x).shape == (3, 4)
    assert pulled(layer(spec), torch.ones(0, 4), torch.ones(0, 4)).shape == (0, 4)


@pytest.mark.parametrize("spec", SPECS)
def test_the_rule_of_the_forward_pass_counts_in_another_thread_and_after_a_change(spec):
    x, grad = inputs()
    x.requires_grad_()
    made = layer(spec)
    y = made(x)
    for name, value in made.rule_parameters.items():
        made.set_rule_parameter(name, value * 2 if value else 0.5)

    thread = threading.Thread(target=lambda: y.backward(grad))
    thread.start()
    thread.join()

    close(x.grad, expected(spec, x.detach(), grad))


@pytest.mark.parametrize(
    "spec", ["sign/arctan", "sign/ede", "sign/gaussian", "relu/grad(silu)", "sign/approxsign", "sign/rect", "sign/jam"]
)
@pytest.mark.parametrize("injected", [False, True])
def test_twice_differentiated_it_is_the_surrogate(spec, injected):
    x, grad = inputs(torch.float64)
    made = layer(spec)
    backward = parse(spec).backward

    def first(z: Tensor) -> Tensor:
        return torch.autograd.grad(made._in_tensor_code(z) if injected else made(z), z, grad, create_graph=True)[0]

    z = x.clone().requires_grad_()
    slope = first(z)
    (second,) = (
        torch.autograd.grad(slope.sum(), z, allow_unused=True, materialize_grads=True)
        if slope.requires_grad
        else (torch.zeros_like(x),)
    )

    factor = backward.factor
    symbols = sorted(factor.free_symbols - {ruled_x()}, key=str)
    f = numeric(factor, [ruled_x()], symbols)
    h = 1e-6
    others = [np.float64(0.0)] * len(symbols) if symbols else []
    bent = torch.from_numpy((f(x.numpy() + h, *others) - f(x.numpy() - h, *others)) / (2 * h))
    torch.testing.assert_close(second, grad * bent, rtol=1e-6, atol=1e-7)


def ruled_x():
    from actlab.functions.spec import X

    return X


class Shifted(nn.Module):
    """Saves nothing, and its output is saved by no other layer."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.bias


@pytest.mark.parametrize(
    ("spec", "per_element"),
    [
        ("sign/1", 0),
        ("sign/0.5", 0),
        ("relu/jam", 0),
        ("relu/fixed_random", 0),
        ("sign/rect", 0.125),
        ("sign/clipped", 0.125),
        ("relu/positive_jam", 0.125),
        ("relu/rectangular_jam", 0.125),
        ("relu/grad(relu)", 0.125),
        ("relu/grad(hardtanh)", 0.125),
        ("sign/unit_rect", 0.125),
        ("sign/arctan", 4),
        ("sign/approxsign", 4),
        ("step/leaky_spike", 4),
    ],
)
def test_what_is_kept_for_the_backward_pass(spec, per_element):
    x = torch.randn(64, 128)

    assert saved_bytes(nn.Sequential(Shifted(), layer(spec)), x) == per_element * x.numel()


@pytest.mark.parametrize("scope", ["learned", "learned_per_channel"])
def test_a_learned_threshold_gets_the_gradient_that_the_rule_implies(scope):
    x, grad = inputs(torch.float64)
    made = layer(f"rsign(alpha={scope}(0.3))/clipped", channels=7, dtype=torch.float64)

    made(x.requires_grad_()).backward(grad)

    wanted = grad * ((x.detach() - 0.3).abs() <= 1)
    close(x.grad, wanted)
    close(made.alpha.grad, -wanted.sum(0) if scope == "learned_per_channel" else -wanted.sum().reshape(1))


def test_a_fixed_threshold_moves_the_window():
    x = torch.tensor([-0.9, 0.4, 1.6, 2.2], requires_grad=True)

    layer("rsign(alpha=1.0)/clipped")(x).sum().backward()

    assert x.grad.tolist() == [0, 1, 1, 0]


def test_the_step_of_a_quantiser_learns_as_its_paper_says():
    x = torch.tensor([-1.0, 0.2, 0.7, 1.1, 2.4, 5.0], dtype=torch.float64, requires_grad=True)
    made = layer("lsq(s=learned(0.5), bits=2)/through", dtype=torch.float64)

    made(x).sum().backward()

    ratio = x.detach() / 0.5
    inside = (ratio > 0) & (ratio < 3)
    close(x.grad, inside.double())
    wanted = torch.where(
        inside, torch.round(ratio) - ratio, torch.where(ratio >= 3, 3.0, 0.0)
    )  # arXiv:1902.08153, equation 3
    close(made.s.grad, wanted.sum().reshape(1))


@pytest.mark.parametrize(
    "spec",
    [
        "sign/arctan(alpha=learned)",
        "step/sigmoid(k=learned)",
        "step/rect(lower=learned, upper=learned)",
        "sign/ede(t=learned(0.7))",
    ],
)
def test_learned_sharpness_gets_the_gradient_of_the_surrogate(spec):
    x, grad = inputs(torch.float64)
    made = layer(spec, dtype=torch.float64)
    made(x.requires_grad_()).backward(grad)
    backward = parse(spec).backward

    close(x.grad, expected_at(spec, x.detach(), grad))
    start = [np.float64(dict(backward.assigned)[name].initial) for name in backward.learned]
    f = numeric(backward.surrogate, [ruled_x()], [symbol(name) for name in backward.learned])
    for place, name in enumerate(backward.learned):
        h = 1e-6
        high, low = ([v + (sign * h if i == place else 0) for i, v in enumerate(start)] for sign in (1, -1))
        bent = (f(x.detach().numpy(), *high) - f(x.detach().numpy(), *low)) / (2 * h)
        got = getattr(made, f"{backward.rule.name}_{name}").grad
        assert float(got) == pytest.approx(float((grad.numpy() * bent).sum()), rel=1e-5)


def expected_at(spec: str, x: Tensor, grad: Tensor) -> Tensor:
    backward = parse(spec).backward
    start = [np.float64(dict(backward.assigned)[name].initial) for name in backward.learned]
    return grad * torch.from_numpy(
        numeric(backward.factor, [ruled_x()], [symbol(n) for n in backward.learned])(x.numpy(), *start)
    )


def symbol(name: str):
    import sympy

    return sympy.Symbol(name, real=True)


def test_noise_differs_between_calls_and_returns_with_the_seed(monkeypatch):
    monkeypatch.undo()
    x, grad = inputs()
    made = layer("relu/jam")
    torch.manual_seed(1)
    first, second = pulled(made, x, grad), pulled(made, x, grad)
    torch.manual_seed(1)

    assert torch.equal(pulled(made, x, grad), first)
    assert not torch.equal(first, second)
    ratio = first / grad
    assert ((ratio > 0) & (ratio < 1)).all()


def test_two_layers_have_noise_of_their_own(monkeypatch):
    monkeypatch.undo()
    x = torch.ones(1000, requires_grad=True)
    a, b = layer("relu/jam"), layer("relu/jam")
    torch.manual_seed(0)
    (first,), (second,) = torch.autograd.grad(a(x).sum(), x), torch.autograd.grad(b(x).sum(), x)

    assert abs(float(torch.corrcoef(torch.stack([first, second]))[0, 1])) < 0.15


@pytest.mark.parametrize("spec", ["sign/ede(t=0.2)", "step/arctan(alpha=learned)", "rsign/clipped", "sigmoid/1"])
def test_copies_and_pickles_keep_the_rule(spec):
    x, grad = inputs()
    made = layer(spec)
    if "ede" in spec:
        made.set_rule_parameter("t", 3.0)
    file = io.BytesIO()
    torch.save(made, file)
    file.seek(0)

    for again in (copy.deepcopy(made), torch.load(file, weights_only=False)):
        assert isinstance(again, CustomGradientLayer)
        assert torch.equal(pulled(again, x, grad), pulled(made, x, grad))
        assert again.rule_parameters == made.rule_parameters


def test_a_schedule_leaves_nothing_in_checkpoints():
    made = layer("sign/ede")
    made.set_rule_parameter("t", 3.0)

    assert made.state_dict() == {}


def test_infinite_and_undefined_inputs():
    x = torch.tensor([-torch.inf, torch.inf, torch.nan], requires_grad=True)
    for function in (layer("step/arctan"), layer("step/arctan")._in_tensor_code):
        y = function(x)
        assert y[:2].tolist() == [0, 1]
        (grad,) = torch.autograd.grad(y[:2].sum(), x)
        assert grad[:2].tolist() == [0, 0]


def test_no_other_layer_takes_a_spec_with_a_rule():
    with pytest.raises(LayerError, match="would lose the gradient rule"):
        ActivationLayer(parse("sign/rect"))


def test_a_parameter_that_the_rule_does_not_have_cannot_be_set():
    with pytest.raises(LayerError, match="allowed: t"):
        layer("sign/ede").set_rule_parameter("alpha", 2.0)
    with pytest.raises(LayerError, match="allowed: none"):
        layer("step/arctan(alpha=learned)").set_rule_parameter("alpha", 2.0)


def test_a_rule_that_is_lost_is_found(monkeypatch):
    """As in libraries that look up the rule when the backward pass runs: the true derivative is used instead."""
    for function in (custom_gradient._LinearRule, custom_gradient._KernelFunction):
        monkeypatch.setattr(
            function, "backward", staticmethod(lambda _, grad: (None, None, torch.zeros_like(grad), None))
        )

    with pytest.raises(AssertionError):
        test_eager_is_the_definition("sign/rect", torch.float32, True, monkeypatch)
    assert get_rule("rect").is_linear
