"""Files of a C99 project beside the net, a Makefile and a README with figures."""

from __future__ import annotations

from collections import Counter

from actlab.export.c99.host import FLAGS, Measured
from actlab.export.c99.source import MARK, Source, sizes
from actlab.export.c99.text import dimensions
from actlab.export.net.layers import Activation
from actlab.export.net.net import Net

__all__ = ["makefile", "readme"]


def makefile(name: str) -> str:
    """Return the Makefile: ``make`` compiles the net, ``make test`` runs the test vectors on the host."""
    return f"""# {MARK}. CC=arm-none-eabi-gcc CFLAGS=-mcpu=cortex-m4 make {name}.o cross-compiles the net.
CC ?= cc
FLAGS = {FLAGS}

{name}.o: {name}.c {name}.h
\t$(CC) $(FLAGS) $(CFLAGS) -c {name}.c -o {name}.o

{name}_test: {name}_test.c {name}.o
\t$(CC) $(FLAGS) $(CFLAGS) {name}_test.c {name}.o -o {name}_test

test: {name}_test
\t./{name}_test

clean:
\trm -f {name}.o {name}_test

.PHONY: test clean
"""


def readme(net: Net, source: Source, measured: Measured | None, vectors: int) -> str:
    """Return the README of a project.

    Args:
        net: its layers.
        source: what was printed.
        measured: on this machine; None where it has no C compiler.
        vectors: number of test vectors.
    """
    name = source.name
    arrays = "\n".join(f"- `{key}`: {value} numbers" for key, value in sizes(net, name).items())
    layers = "\n".join(
        f"| {layer.name} | {type(layer).__name__} | {_spec(layer)} | {dimensions(net.shapes[layer.output])} |"
        for layer in net.layers
    )
    return f"""# {net.name} in C99

<!-- {MARK} -->
`{name}.h` and `{name}.c` are the net. No heap, no stdio, no libm; the weights are constants, the memory is one static array. Compile with
`{FLAGS.replace(" -O2", "").replace(" -Werror", "")}`: without fused multiply-adds all cores give the same bits.

```c
#include "{name}.h"

{source.header[source.header.rindex("void ") : source.header.rindex(";")]};
```

{arrays}

`make test` runs {vectors} test vectors with the outputs of the model in PyTorch on the host.

| figure | value |
|---|---|
{_figures(net, source, measured)}

| layer | kind | activation | output |
|---|---|---|---|
{layers}
"""


def _spec(layer: object) -> str:
    return f"`{layer.spec}`" if isinstance(layer, Activation) else ""


def _figures(net: Net, source: Source, measured: Measured | None) -> str:
    rows = [
        ("constants", f"{source.constants:,} bytes ({net.weights:,} float32 numbers)"),
        ("arena (RAM)", f"{source.arena:,} bytes; at least {source.needed:,} are needed in this order of layers"),
    ]
    if measured is None:
        rows.append(("flash", "not measured: no C compiler was found"))
    else:
        text = f"{measured.text:,} bytes" if measured.text else "not measured: no `size` was found"
        rows += [
            ("flash (text and constants)", f"{text}, by {measured.compiler} with -O2"),
            ("largest difference from PyTorch", f"{measured.largest:.2g} ({measured.relative:.2g} over 1 + magnitude)"),
        ]
    kinds = Counter(type(layer).__name__ for layer in net.layers)
    rows.append(("layers", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))))
    return "\n".join(f"| {key} | {value} |" for key, value in rows)
