"""README of a C99 project in integer arithmetic."""

from __future__ import annotations

from collections import Counter

from actlab.export.c99.host import FLAGS, Built
from actlab.export.c99.integer.interface import signature, size_names
from actlab.export.c99.source import MARK, Source
from actlab.export.c99.text import dimensions
from actlab.export.integer.coding import Bits, Codes, Coding
from actlab.export.integer.net import IntegerNet

__all__ = ["readme"]


def readme(net: IntegerNet, source: Source, built: Built | None, vectors: int, agreement: str) -> str:
    """Return the README of a project.

    Args:
        net: its layers.
        source: what was printed.
        built: on this machine; None where it has no C compiler.
        vectors: number of test vectors.
        agreement: how its outputs differ from those of the model, in a sentence.
    """
    name = source.name
    arrays = "\n".join(f"- `{key}`: {value} elements" for key, value in size_names(net, name).items())
    layers = "\n".join(
        f"| {layer.name} | {layer.made_from or type(layer).__name__} | {dimensions(net.shapes[layer.output])} "
        f"| {_described(net.codings[layer.output])} |"
        for layer in net.layers
    )
    return f"""# {net.name} in C99, in whole numbers

<!-- {MARK} -->
`{name}.h` and `{name}.c` are the net. No heap, no stdio, no libm and no floats; the weights are constants, the memory is one static array.
Compile with `{FLAGS.replace(" -Werror", "").replace(" -ffp-contract=off", "")}`; all compilers and cores compute the same bits. Like any C
program it may call `memcpy` and `memset`, which compilers put in the place of loops.

```c
#include "{name}.h"

{signature(net, name)};
```

{arrays}

An input's code is `x / SCALE + ZERO`, rounded; an output stands for `SCALE * (code - ZERO)`. The header has the constants, and functions
for both.

Where the core has the DSP extension (`__ARM_FEATURE_DSP`: Cortex-M4, M7, M33, M55) sums of products use SXTB16 and SMLAD, two products an
instruction; other cores run plain C. Requantisation is `(sum * multiplier + 2**(shift - 1)) >> shift` in 64 bits, halves rounded up, as
CMSIS-NN computes it with `CMSIS_NN_USE_SINGLE_ROUNDING`; its default rounds twice and can differ by one step. {_switch(source)}

`make test` runs {vectors} test vectors on the host and compares the outputs to the bit with those of NumPy. {agreement}

| figure | value |
|---|---|
{_figures(net, source, built)}

| layer | kind | output | coding |
|---|---|---|---|
{layers}
"""


def _switch(source: Source) -> str:
    switch = f"{source.name.upper()}_CMSIS_NN"
    if switch not in source.source:
        return "The setting `cmsis_nn` of the export writes calls of CMSIS-NN behind a switch."
    return f"With `-D{switch} -DCMSIS_NN_USE_SINGLE_ROUNDING` dense layers and convolutions are CMSIS-NN's."


def _described(coding: Coding) -> str:
    if isinstance(coding, Codes):
        return f"int{coding.width}, scale {coding.scale:.4g}, zero {coding.zero}"
    return f"bits, {coding.low} and 1 times {coding.scale:.4g}" if isinstance(coding, Bits) else "index"


def _figures(net: IntegerNet, source: Source, built: Built | None) -> str:
    rows = [
        ("constants", f"{source.constants:,} bytes"),
        ("arena (RAM)", f"{source.arena:,} bytes; at least {source.needed:,} are needed in this order of layers"),
    ]
    if built is None:
        rows.append(("flash", "not measured: no C compiler was found"))
    else:
        text = f"{built.text:,} bytes" if built.text else "not measured: no `size` was found"
        rows.append(("flash (text and constants)", f"{text}, by {built.compiler} with -O2"))
    kinds = Counter(layer.made_from or type(layer).__name__ for layer in net.layers)
    rows.append(("layers", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))))
    return "\n".join(f"| {key} | {value} |" for key, value in rows)
