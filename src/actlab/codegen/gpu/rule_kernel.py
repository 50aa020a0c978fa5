"""Triton kernels of activations with a gradient rule, which save at most one bit per element.

Printed from the same expressions as on the CPU. A window rule saves one bit per element, in the same bytes; noise is hashed from the
element index, with the same numbers to the bit (normal ones to 2e-6). Half precision is computed in float32 and rounded once.

Layers do not use these kernels yet, as they were not timed on a GPU. Tests compare them with the torch code in Triton's interpreter and
compile them for several GPUs.
"""

from __future__ import annotations

import contextlib
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from actlab.codegen.gpu.kernel import DTYPES, WARPS, require_device, require_triton
from actlab.codegen.gpu.module_cache import load_module
from actlab.codegen.gpu.source import HEAD, device_function
from actlab.codegen.gpu.tiling import BLOCK, needs_wide
from actlab.codegen.rule_passes import SYMBOLS, Keep, RulePasses, rule_passes
from actlab.errors import KernelError
from actlab.functions.spec import Spec, X

__all__ = ["GpuRuleKernel", "gpu_rule_kernel", "rule_text"]

CONSTANTS = "BLOCK: tl.constexpr, WIDE: tl.constexpr, EXACT: tl.constexpr"
OPENING = """    first = tl.program_id(0)
    if WIDE:
        first = first.to(tl.int64)
    first = first * BLOCK
    place = first + tl.arange(0, BLOCK)
    inside = place < size
"""
PACKING = """    bit = ((passing(x, EXACT) > {middle!r}) & inside).to(tl.int32)
    eight = tl.reshape(bit, (BLOCK // 8, 8)) << tl.arange(0, 8)[None, :]
    byte = first // 8 + tl.arange(0, BLOCK // 8)
    tl.store(bits_pointer + byte, tl.sum(eight, axis=1).to(tl.uint8), mask=byte < tl.cdiv(size, 64) * 8)
"""


class GpuRuleKernel:
    """Forward and backward pass of a spec with a gradient rule. Create it with :func:`gpu_rule_kernel`.

    Attributes:
        spec: a spec with a rule.
        keep: what the backward pass needs of each element: nothing, one bit, or the input.
        is_noisy: whether the backward pass takes a key.
        block: elements per program.
    """

    def __init__(self, passes: RulePasses, *, block: int = BLOCK) -> None:
        self.spec = passes.gradient.spec
        self.keep: Keep = passes.keep
        self.is_noisy = passes.gradient.is_noisy
        self.block = block

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the values, and what the backward pass needs: None, uint8 of ``8 * ceil(n / 64)`` with the lowest bit first, or the input.

        Args:
            x: contiguous tensor of any shape, float32, bfloat16 or float16.

        Raises:
            KernelError: a dtype or memory layout that kernels do not support.
            NoTritonError: Triton is missing, or there is neither a GPU nor the interpreter.
        """
        self._check(x)
        y = torch.empty_like(x)
        saved: tuple[Tensor, ...] = ()
        if self.keep == "bits":
            saved = (torch.empty(-(-x.numel() // 64) * 8, dtype=torch.uint8, device=x.device),)
        self._launch("forward", x, (x, y, *saved))
        return y, x if self.keep == "input" else saved[0] if saved else None

    def backward(self, grad: Tensor, saved: Tensor | None, key: Tensor | None) -> Tensor:
        """Return the gradient of the input.

        Args:
            grad: gradient of the output, contiguous.
            saved: second result of :meth:`forward`.
            key: key of the noise, on the device of ``grad``, see :func:`~actlab.codegen.counter_rng.draw_key`; None without noise.

        Raises:
            KernelError: a dtype or memory layout that kernels do not support, or the key is missing.
            NoTritonError: as in :meth:`forward`.
        """
        self._check(grad)
        if self.is_noisy and (key is None or key.device != grad.device):
            raise KernelError(f"{self.spec} draws noise: its backward pass takes a key on {grad.device}, got {key!r}.")
        dx = torch.empty_like(grad)
        extra = tuple(t for t in (saved, key if self.is_noisy else None) if t is not None)
        self._launch("backward", grad, (grad, dx, *extra))
        return dx

    def module(self) -> ModuleType:
        """Return the module with the generated Triton kernels.

        Raises:
            NoTritonError: Triton is missing.
        """
        require_triton()
        return load_module(f"{self.spec.activation.name}_rule", rule_text(self.spec))

    def constants(self, like: Tensor) -> dict[str, int | bool]:
        """Return the compile-time constants of a kernel."""
        return {"BLOCK": self.block, "WIDE": needs_wide(like.numel()), "EXACT": like.dtype == torch.float32}

    def options(self, dtype: torch.dtype) -> dict[str, int | bool]:
        """Return compiler options."""
        return {"num_warps": WARPS[dtype.itemsize], "enable_fp_fusion": True}

    def _check(self, x: Tensor) -> None:
        if x.dtype not in DTYPES or not x.is_contiguous():
            raise KernelError(
                f"A GPU kernel of {self.spec} takes a contiguous float32, bfloat16 or float16 tensor, got {tuple(x.shape)} {x.dtype}; "
                "call x.contiguous(), or use the layer, which runs torch code."
            )
        require_device(x.device)

    def _launch(self, which: str, like: Tensor, arguments: tuple[Tensor, ...]) -> None:
        count = like.numel()
        if not count:
            return
        function = getattr(self.module(), which)
        on_card = like.device.type == "cuda"
        with torch.cuda.device(like.device) if on_card else contextlib.nullcontext():
            function[(-(-count // self.block),)](*arguments, count, **self.constants(like), **self.options(like.dtype))


@cache
def rule_text(spec: Spec) -> str:
    """Return the Python source of the kernels of a spec with a rule: ``forward`` and ``backward``.

    Raises:
        KernelError: kernels do not support the rule (see :func:`~actlab.codegen.rule_passes.rule_passes`).

    Example:
        >>> from actlab.functions.grammar import parse
        >>> [line for line in rule_text(parse("relu/jam")).splitlines() if "noise(" in line]
        ['    u = uniform_noise(place, key_pointer)']
    """
    passes = _passes(spec)
    parts = [
        HEAD.format(spec=spec).rstrip("\n")
        + "\nfrom actlab.codegen.gpu.triton_rng import *  # noqa: F403 as above\n\n",
        device_function("formula", [passes.x], [passes.value]),
    ]
    if passes.keep == "bits":
        parts.append(device_function("passing", [X], [passes.mask]))
    parts += [
        device_function("gradients", SYMBOLS, passes.gradients),
        _forward(passes),
        _backward(passes),
    ]
    return "\n\n".join(parts)


def _forward(passes: RulePasses) -> str:
    bits = ", bits_pointer" if passes.keep == "bits" else ""
    body = (
        f"@triton.jit\ndef forward(x_pointer, y_pointer{bits}, size, {CONSTANTS}):\n{OPENING}"
        "    x = tl.load(x_pointer + place, mask=inside, other=0.0).to(tl.float32)\n"
        "    y = formula(x, EXACT)\n"
        "    tl.store(y_pointer + place, y.to(y_pointer.dtype.element_ty), mask=inside)\n"
    )
    return body + (PACKING.format(middle=passes.middle) if bits else "")


def _backward(passes: RulePasses) -> str:
    ingredients = passes.ingredients
    saved = {"nothing": "", "bits": ", bits_pointer", "input": ", x_pointer"}[passes.keep]
    key = ", key_pointer" if passes.gradient.is_noisy else ""
    x, u, normal = (name if name in ingredients else "grad" for name in ("x", "u", "normal"))
    x = x if passes.keep == "input" else "grad"
    lines = ["grad = tl.load(grad_pointer + place, mask=inside, other=0.0).to(tl.float32)"]
    lines += ["u = uniform_noise(place, key_pointer)"] * (u == "u")
    lines += ["normal = normal_noise(place, key_pointer)"] * (normal == "normal")
    if passes.keep == "bits":
        lines += [
            "at = first // 8 + tl.arange(0, BLOCK // 8)",
            "byte = tl.load(bits_pointer + at, mask=at < tl.cdiv(size, 64) * 8, other=0).to(tl.int32)",
            "bit = tl.reshape((byte[:, None] >> tl.arange(0, 8)[None, :]) & 1, (BLOCK,))",
            f"low, high = gradients(grad, {x}, {u}, {normal}, EXACT)",
            "dx = tl.where(bit == 1, high, low)",
        ]
    else:
        if passes.keep == "input":
            lines.append("x = tl.load(x_pointer + place, mask=inside, other=0.0).to(tl.float32)")
        lines.append(f"dx = gradients(grad, {x}, {u}, {normal}, EXACT)")
    lines.append("tl.store(dx_pointer + place, dx.to(dx_pointer.dtype.element_ty), mask=inside)")
    head = f"@triton.jit\ndef backward(grad_pointer, dx_pointer{saved}{key}, size, {CONSTANTS}):\n{OPENING}"
    return head + "".join(f"    {line}\n" for line in lines)


def _passes(spec: Spec) -> RulePasses:
    passes = rule_passes(spec)
    if passes is None:
        raise KernelError(
            f"{spec} has no kernel: rules with learned parameters, both kinds of noise, noise fixed per unit, or a factor of more than two "
            "levels are not supported. The layer computes it in torch."
        )
    return passes


@cache
def gpu_rule_kernel(spec: Spec) -> GpuRuleKernel | None:
    """Return the kernel of a spec with a rule, or None if kernels do not support it; it is compiled when it is first called.

    Example:
        >>> from actlab.functions.grammar import parse
        >>> gpu_rule_kernel(parse("step/rect")).keep, gpu_rule_kernel(parse("relu")), gpu_rule_kernel(parse("relu/fixed_random"))
        ('bits', None, None)
    """
    passes = rule_passes(spec)
    return None if passes is None else GpuRuleKernel(passes)
