"""PTX, machine code and instruction counts of Triton kernels, compiled without a GPU.

The code shows how wide memory is read and written, whether anything is computed in float64, which special functions are called, and how
many instructions a number costs. On a GPU that moves B bytes and issues I instructions per second, a kernel is bound by arithmetic if it
needs more than ``I / B`` instructions per byte.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from actlab.codegen.gpu.kernel import GpuKernel, require_triton
from actlab.codegen.gpu.rule_kernel import GpuRuleKernel
from actlab.codegen.gpu.tiling import tiling

__all__ = ["Code", "code", "rule_code"]

NAMES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.float64: "fp64"}
ELEMENTWISE, PACKED = (8192, 8192), (8192, 16384)  # input shapes to compile for, as in a language model
RULE_TYPES = {"bits_pointer": "*u8", "key_pointer": "*i32"}  # saved bits and noise key of gradient rules
Pass = Literal["forward", "backward"]


@dataclass(frozen=True)
class Code:
    """Compiled code.

    Attributes:
        ptx: NVIDIA's assembly for virtual GPUs.
        cubin: machine code for the GPU.
        numbers: numbers of the output per thread and step.
    """

    ptx: str
    cubin: bytes
    numbers: int

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of occurrences of each PTX instruction, by name without types: ``ld.global.v4``, ``ex2``, ``div``, ``bra``."""
        counts: Counter[str] = Counter()
        for name in re.findall(r"^\s*(?:@!?%p\d+ )?([a-z][a-z0-9]*(?:\.[a-zA-Z0-9_:]+)*)\b.*;", self.ptx, re.MULTILINE):
            wide = re.match(r"(ld|st)\.global(?:\.nc)?(?:\.L\w+)*(\.v\d)?", name)
            counts[f"{wide[1]}.global{wide[2] or ''}" if wide else name.split(".")[0]] += 1
        return counts

    @property
    def computes_in_float64(self) -> bool:
        """Whether any instruction has a float64 operand."""
        return ".f64" in self.ptx

    @cached_property
    def instructions(self) -> Counter[str]:
        """Number of occurrences of each machine instruction, by name without modifiers.

        Raises:
            RuntimeError: Triton's disassembler failed.
        """
        import triton  # noqa: PLC0415 Triton is an optional dependency

        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "nvdisasm"
        with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
            file.write(self.cubin)
            file.flush()
            process = subprocess.run(  # noqa: S603 a tool installed with Triton, on a file written here
                [str(tool), "-c", file.name], capture_output=True, text=True, check=False
            )
        if process.returncode:
            raise RuntimeError(f"{tool} failed: {process.stderr.strip()}")
        lines = re.findall(r"^\s*/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9]*)", process.stdout, re.MULTILINE)
        last = max((i for i, name in enumerate(lines) if name == "EXIT"), default=len(lines))
        return Counter(name for name in lines[: last + 1] if name != "NOP")  # after the last exit is padding

    @property
    def per_number(self) -> float:
        """Machine instructions per number of the output, including address computations."""
        return sum(self.instructions.values()) / self.numbers


def code(
    kernel: GpuKernel,
    which: Pass = "forward",
    dtype: torch.dtype = torch.bfloat16,
    *,
    capability: int = 90,
    wide: bool = False,
) -> Code:
    """Return the code of a pass.

    Gated functions take a packed input; parameters are one number each, in float32.

    Args:
        kernel: kernel of a spec.
        which: the pass.
        dtype: dtype of the inputs.
        capability: compute capability times 10: 80 is A100, 90 is H100 and H200.
        wide: whether indices have 64 bits.

    Raises:
        NoTritonError: Triton is missing.
    """
    require_triton()
    packed = len(kernel.spec.activation.inputs) > 1
    plan = tiling(
        PACKED if packed else ELEMENTWISE,
        packed=packed,
        sums=which == "backward" and bool(kernel.learned),
        block=kernel.block,
    )
    function = getattr(kernel.module(), f"{which}{'_packed' * packed}")
    constants = kernel.constants(plan, torch.empty(0, dtype=dtype)) | {"WIDE": wide}
    options = kernel.options(dtype)
    return _compile(function, constants, dtype, options, capability=capability, numbers=plan.tall * plan.wide)


def rule_code(
    kernel: GpuRuleKernel,
    which: Pass = "forward",
    dtype: torch.dtype = torch.bfloat16,
    *,
    capability: int = 90,
    wide: bool = False,
) -> Code:
    """Return the code of a pass of a gradient rule; arguments as for :func:`code`.

    Raises:
        NoTritonError: Triton is missing.
    """
    require_triton()
    constants = kernel.constants(torch.empty(0, dtype=dtype)) | {"WIDE": wide}
    function, options = getattr(kernel.module(), which), kernel.options(dtype)
    return _compile(function, constants, dtype, options, capability=capability, numbers=kernel.block)


def _compile(
    function: Any,
    constants: dict[str, Any],
    dtype: torch.dtype,
    options: dict[str, Any],
    *,
    capability: int,
    numbers: int,
) -> Code:
    import triton  # noqa: PLC0415 Triton is an optional dependency
    from triton.backends.compiler import GPUTarget  # noqa: PLC0415 as above
    from triton.compiler import ASTSource  # noqa: PLC0415 as above

    types = _types(function.arg_names, constants, dtype)
    aligned = [
        i for i, name in enumerate(function.arg_names) if types[name].startswith("*") or name in {"width", "size"}
    ]
    source = ASTSource(
        fn=function,
        signature=types,
        constexprs={(function.arg_names.index(name),): value for name, value in constants.items()},
        attrs={(i,): [["tt.divisibility", 16]] for i in aligned},
    )
    asm = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm
    return Code(asm["ptx"], asm["cubin"], numbers // (32 * options["num_warps"]))


def _types(names: list[str], constants: dict[str, Any], dtype: torch.dtype) -> dict[str, str]:
    """Return Triton's type name of every argument."""

    def type_of(name: str) -> str:
        if name in constants:
            return "constexpr"
        if not name.endswith("_pointer"):
            return "i32"
        if name in RULE_TYPES:
            return RULE_TYPES[name]
        return f"*{'fp32' if name.startswith(('p', 'sums')) else NAMES[dtype]}"

    return {name: type_of(name) for name in names}
