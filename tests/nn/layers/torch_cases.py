"""PyTorch's own test inputs of activations (OpInfos and ModuleInfos), run through layers, kernels, slim layers and rules.

python tests/nn/layers/torch_cases.py        # the number of checks and every failure, in a few minutes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.testing._internal.common_methods_invocations import op_db
from torch.testing._internal.common_modules import module_db

import actlab
from actlab.errors import ActlabError
from actlab.functions.activation import get
from actlab.functions.grammar import parse
from actlab.nn.layers.memory_saving import SlimLayer, keep_options
from actlab.nn.recognition.torch_activations import describe_call, describe_module, recognise

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
# Against float64: relative and absolute. float64 is compared with torch's own function, whose roundings differ.
TOLERANCE = {
    torch.float64: (1e-9, 1e-10),
    torch.float32: (2e-5, 2e-6),
    torch.bfloat16: (2**-7, 1e-4),
    torch.float16: (2**-10, 1e-5),
}
READINGS = ("layer", "fast", "slim", "rule")
OPS = [op for op in op_db if not op.variant_test_name and recognise(op.op) is not None]
MODULES = [info for info in module_db if getattr(info.module_cls, "__module__", "").endswith("activation")]
LEFT_OUT = {"rrelu"}  # draws random slopes in training
OWN_SECOND = {"mish", "prelu"}  # torch's is NaN for mish far out, and mixes both slopes of prelu at zero
# By function and dtype: torch computes these in several operations, each of which rounds, where ActLab's gradient is rounded once.
ROUNDED_OFTEN = {(name, dtype) for name in ("softsign", "tanhshrink") for dtype in (torch.bfloat16, torch.float16)}
# In float64 torch rounds a constant of these (1/6, 1/alpha) to float32: errors of 1e-8 in its gradient, which is the reference.
ROUNDED_OFTEN |= {(name, torch.float64) for name in ("hardsigmoid", "celu")}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One input of one function.

    Attributes:
        name: of the function, with the number of the input.
        spec: what ActLab reads it as.
        x: the input.
        reference: torch's own function of the input.
        weight: the learned weight of prelu; else None.
    """

    name: str
    spec: str
    x: Tensor
    reference: Callable[[Tensor], Tensor]
    weight: Tensor | None = None


def _seeded(draw: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Return a function that draws all inputs from a fixed seed and restores torch's generator."""

    def drawn(*arguments: Any, **options: Any) -> list[Any]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return list(draw(*arguments, **options))

    return drawn


def operator_cases(op: Any, dtype: torch.dtype, *, every: bool) -> Iterator[Case]:
    """Yield the inputs of an OpInfo; with ``every`` also its reference inputs, which have extreme values and layouts."""
    draw = op.reference_inputs if every else op.sample_inputs
    for number, sample in enumerate(_seeded(draw)("cpu", dtype, requires_grad=False)):
        keywords = {k: v for k, v in sample.kwargs.items() if k != "inplace"}
        tensors = [value for value in (*sample.args, *keywords.values()) if isinstance(value, Tensor)]
        running = describe_call(recognise(op.op), sample.args, keywords)
        x = sample.input
        if running.spec is None or not isinstance(x, Tensor) or not x.is_floating_point():
            continue

        def reference(x: Tensor, sample: Any = sample, keywords: Any = keywords) -> Tensor:
            wide = [v.to(x.dtype) if isinstance(v, Tensor) else v for v in sample.args]
            return op.op(x, *wide, **{k: v.to(x.dtype) if isinstance(v, Tensor) else v for k, v in keywords.items()})

        spec = running.spec
        if running.dim is not None and "dim" in {p.name for p in get(parse(spec).activation.name).parameters}:
            spec = str(parse(spec))
        # torch's gradients at infinities and NaN differ from function to function; those of kernels are tested with them
        x = torch.where(x.isfinite(), x, 0.5)
        yield Case(
            name=f"{op.name} {number}", spec=spec, x=x, reference=reference, weight=tensors[0] if tensors else None
        )


def module_cases(info: Any, dtype: torch.dtype) -> Iterator[Case]:
    """Yield the inputs of a ModuleInfo."""
    inputs = _seeded(info.module_inputs_func)(info, device="cpu", dtype=dtype, requires_grad=False, training=True)
    for number, given in enumerate(inputs):
        made = info.module_cls(*given.constructor_input.args, **given.constructor_input.kwargs)
        running = describe_module(made)
        if running is None or running.spec is None or len(given.forward_input.args) != 1:
            continue

        def reference(x: Tensor, made: nn.Module = made) -> Tensor:
            return made.to(x.dtype)(x.clone())

        weight = next(made.parameters(), None)
        yield Case(
            name=f"{info.name} {number}",
            spec=running.spec,
            x=given.forward_input.args[0],
            reference=reference,
            weight=None if weight is None else weight.detach(),
        )


def _is_last(case: Case) -> bool:
    """Whether a gated function splits the last dimension, as ActLab's do."""
    if parse(case.spec).activation.kind != "gated":
        return True
    return case.x.shape[-1] % 2 == 0 and case.reference(case.x).shape == (*case.x.shape[:-1], case.x.shape[-1] // 2)


def modules_of(case: Case, reading: str) -> list[nn.Module]:
    """Return ActLab's modules that compute a case; several for slim layers, none where a reading does not apply."""
    spec, channels = parse(case.spec), None if case.weight is None else case.weight.numel()
    is_gated = spec.activation.kind != "elementwise"
    if reading == "slim":
        made: list[Any] = [] if channels else [SlimLayer(spec, keep) for keep in keep_options(spec)]
    elif reading == "rule":
        made = [] if is_gated or channels else [actlab.layer(f"{case.spec}/1")]
    else:
        made = [actlab.layer(case.spec, channels=channels, fast=reading == "fast", dtype=case.x.dtype)]
        if reading == "fast":
            made[0].set_fast(always=True)
        if case.weight is not None:
            next(made[0].parameters()).data.copy_(case.weight.reshape(-1))
    return made


def checks(case: Case, reading: str) -> Iterator[tuple[str, bool]]:
    """Yield the label and the outcome of each check of a case in a reading."""
    for module in modules_of(case, reading):
        before = case.x.clone()
        leaf, wide = (x.clone().requires_grad_() for x in (case.x, case.x.double()))
        y, want = module(leaf), case.reference(wide)
        yield "value", _near(y, want, case.x.dtype)
        yield "shape and dtype", y.shape == want.shape and y.dtype == case.x.dtype
        yield "input unchanged", torch.equal(before.nan_to_num(), case.x.nan_to_num())
        grad = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).reshape(y.shape).to(y.dtype)
        (dx,) = torch.autograd.grad(y, leaf, grad)
        (exact,) = torch.autograd.grad(want, wide, grad.double())
        yield "gradient", _near(dx, grad.double() if reading == "rule" else exact, case.x.dtype)
        strided = torch.stack([case.x, case.x], dim=-1)[..., 0].requires_grad_()
        yield "strided value", _near(module(strided), want, case.x.dtype)
        if case.x.dtype == torch.float64 and reading in {"layer", "fast"}:
            yield from _double_checks(case, module)


def _double_checks(case: Case, module: nn.Module) -> Iterator[tuple[str, bool]]:
    x, direction = case.x, torch.linspace(-1, 1, case.x.numel(), dtype=torch.float64).reshape(case.x.shape)
    _, tangent = torch.func.jvp(module, (x,), (direction,))
    leaf, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    grad = torch.autograd.grad(module(leaf).sum(), leaf)[0]
    yield "tangent", bool(((direction * grad).sum() - tangent.sum()).abs() <= 1e-8 * (1 + tangent.abs().sum()))
    try:
        (slope,) = torch.autograd.grad(case.reference(plain).square().sum(), plain, create_graph=True)
        (want,) = torch.autograd.grad(slope.sum(), plain)
    except RuntimeError:  # torch has no second derivative
        return
    (slope,) = torch.autograd.grad(module(leaf).square().sum(), leaf, create_graph=True)
    if parse(case.spec).activation.name in OWN_SECOND:
        return
    yield "second derivative", _near(torch.autograd.grad(slope.sum(), leaf)[0], want, x.dtype)


def _near(got: Tensor, want: Tensor, dtype: torch.dtype) -> bool:
    relative, absolute = TOLERANCE[dtype]
    want = want.detach().to(dtype)
    return torch.allclose(got.detach().double(), want.double(), rtol=relative, atol=absolute, equal_nan=True)


def run(cases: Iterator[Case]) -> tuple[int, list[str]]:
    """Return the number of checks of cases in all readings, and the failures."""
    count, failures = 0, []
    for case in cases:
        if parse(case.spec).activation.name in LEFT_OUT or not _is_last(case):
            continue
        for reading in READINGS:
            try:
                for label, holds in checks(case, reading):
                    count += 1
                    if not holds and (parse(case.spec).activation.name, case.x.dtype) not in ROUNDED_OFTEN:
                        failures.append(
                            f"{case.name}, {case.spec}, {case.x.dtype}, {tuple(case.x.shape)}, {reading}: {label}"
                        )
            except (RuntimeError, ActlabError) as error:
                failures.append(
                    f"{case.name}, {case.spec}, {case.x.dtype}, {tuple(case.x.shape)}, {reading}: {error}"[:250]
                )
    return count, failures


def main() -> None:
    """Print the number of checks and every failure."""
    total, bad = 0, []
    for dtype in DTYPES:
        for group in ([operator_cases(op, dtype, every=True) for op in OPS], [module_cases(m, dtype) for m in MODULES]):
            for cases in group:
                count, failures = run(cases)
                total, bad = total + count, bad + failures
    print(f"{len(OPS)} operators, {len(MODULES)} modules, {total} checks, {len(bad)} failures")  # noqa: T201
    for failure in bad:
        print(" ", failure)  # noqa: T201


if __name__ == "__main__":
    main()
