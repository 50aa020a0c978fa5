"""Conformance checks of activations of complex numbers, in place of those that need real ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from actlab.errors import LayerError
from actlab.testing.reference import TOLERANCE, build_layer, sample

__all__ = ["COMPLEX_CHECKS"]


def complex_values_agree_in_both_precisions(spec: str) -> None:
    """The layer in single precision gives its result in double precision, rounded."""
    z = sample(spec, torch.float32)
    got, want = build_layer(spec)(z), build_layer(spec, dtype=torch.float64)(z.to(torch.complex128))
    assert got.dtype == torch.complex64, f"{spec} makes {got.dtype} of complex64"
    relative, absolute = TOLERANCE[torch.float32]
    torch.testing.assert_close(got.to(torch.complex128), want, rtol=4 * relative, atol=4 * absolute)


def complex_numbers_of_any_size_have_finite_results(spec: str) -> None:
    """Values and gradients are finite at zero, on both axes and on the diagonals, with moduli from 1e-30 to 1e4."""
    phases = torch.polar(torch.ones(8), torch.arange(8) * torch.pi / 4)
    radii = torch.tensor([0.0, 1e-30, 1e-4, 1.0, 100.0, 1e4])
    z = torch.outer(phases, radii.to(torch.complex64)).requires_grad_()
    value = build_layer(spec)(z)
    (gradient,) = torch.autograd.grad((value.real + value.imag).sum(), z)
    for what, numbers in (("value", value), ("gradient", gradient)):
        wrong = z.detach()[~torch.isfinite(numbers)]
        assert not wrong.numel(), f"{what} of {spec} is not finite at {wrong.tolist()}"


def conjugate_views_are_taken(spec: str) -> None:
    """A lazily conjugated or negated view gives the result of the numbers that it shows."""
    module, z = build_layer(spec), sample(spec, torch.float32)
    for view in (z.conj(), z.conj().imag + 0j, torch.complex(z.conj().imag, z.real)):
        torch.testing.assert_close(module(view), module(view.resolve_conj().resolve_neg().clone()))


def batched_evaluation_agrees(spec: str) -> None:
    """torch.func.vmap gives what plain evaluation gives."""
    module, z = build_layer(spec, dtype=torch.float64), sample(spec)
    torch.testing.assert_close(torch.func.vmap(lambda row: module(row[None])[0])(z), module(z))


def real_tensors_are_refused(spec: str) -> None:
    """A real tensor is refused, with a message that names its dtype."""
    module, x = build_layer(spec), torch.ones(4, 4)
    try:
        module(x)
    except LayerError as error:
        assert "float32" in str(error)  # noqa: PT017 pytest is not needed to run the checks
    else:
        raise AssertionError(f"{spec} takes a real tensor")


def total(value: Tensor) -> Tensor:
    """Return the sum of the elements, of complex ones the sum of their real and imaginary parts."""
    return (value.real + value.imag).sum() if value.is_complex() else value.sum()


COMPLEX_CHECKS: tuple[Callable[[str], None], ...] = (
    complex_values_agree_in_both_precisions,
    complex_numbers_of_any_size_have_finite_results,
    conjugate_views_are_taken,
    batched_evaluation_agrees,
    real_tensors_are_refused,
)
