"""Integer nets as one C program under the address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actlab.export.c99.integer.interface import array_size, caller_tensors, pointers
from actlab.export.c99.integer.printed import c_type
from actlab.export.c99.integer.source import print_integer_net
from actlab.export.c99.source import Source
from actlab.export.integer.net import IntegerNet

FLAGS = "-std=c99 -Wall -Wextra -Wconversion -Werror"
SANITIZED = ("-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
DTYPES: Mapping[str, Any] = {"int8_t": np.int8, "int32_t": np.int32, "uint32_t": np.uint32}
Arrays = Sequence[np.ndarray[Any, Any]]


def write_sources(nets: Mapping[str, IntegerNet], folder: Path) -> dict[str, Source]:
    """Write the C files of nets, and a program that runs each of them on its examples from the standard input."""
    sources = {name: print_integer_net(net, name) for name, net in nets.items()}
    for name, source in sources.items():
        (folder / f"{name}.h").write_text(source.header)
        (folder / f"{name}.c").write_text(source.source)
    (folder / "main.c").write_text(_main(nets))
    return sources


def _main(nets: Mapping[str, IntegerNet]) -> str:
    parts = ["#include <stdio.h>", *(f'#include "{name}.h"' for name in nets)]
    for name, net in nets.items():
        arrays = {
            pointer: (c_type(net.codings[tensor]), max(array_size(net, tensor), 1))
            for pointer, tensor in caller_tensors(net)
        }
        inputs = [pointer for (kind, _), pointer in pointers(net).items() if kind == "input"]
        defined = "\n".join(f"static {kind} {name}_{pointer}[{size}];" for pointer, (kind, size) in arrays.items())
        read = "\n".join(f"        if (fread({name}_{p}, sizeof {name}_{p}, 1, stdin) != 1) return 1;" for p in inputs)
        wrote = "\n".join(
            f"        fwrite({name}_{p}, sizeof {name}_{p}, 1, stdout);" for p in arrays if p not in inputs
        )
        call = f"{name}_run({', '.join(f'{name}_{pointer}' for pointer in arrays)});"
        parts.append(
            f"{defined}\n\nstatic int {name}(void)\n{{\n    int count;\n    if (fread(&count, sizeof count, 1, stdin) != 1) return 1;\n"
            f"    for (; count > 0; --count) {{\n{read}\n        {call}\n{wrote}\n    }}\n    return 0;\n}}"
        )
    calls = " || ".join(f"{name}()" for name in nets)
    return "\n\n".join(parts) + f"\n\nint main(void)\n{{\n    return {calls};\n}}\n"


def run_program(
    nets: Mapping[str, IntegerNet], inputs: Mapping[str, Arrays], folder: Path, *flags: str, compiler: str = "gcc"
) -> dict[str, list[Any]]:
    """Return the outputs of all nets, built from the files in a folder; see :func:`write_sources`.

    Args:
        nets: by name.
        inputs: of each net: an array of shape (examples, ...) for each input.
        folder: with the sources.
        flags: of the compiler, beside :data:`FLAGS`, such as :data:`SANITIZED`.
        compiler: its command.
    """
    program = folder / "program"
    files = [str(folder / f"{name}.c") for name in (*nets, "main")]
    done = subprocess.run(
        [compiler, *FLAGS.split(), *flags, *files, "-o", str(program)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[:4000]
    sent = b""
    for name in nets:
        sent += np.int32(len(inputs[name][0])).tobytes()
        sent += b"".join(array.tobytes() for example in zip(*inputs[name], strict=True) for array in example)
    ran = subprocess.run([str(program)], input=sent, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[:4000]
    return _outputs(nets, inputs, ran.stdout)


def _outputs(nets: Mapping[str, IntegerNet], inputs: Mapping[str, Arrays], received: bytes) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    at = 0
    for name, net in nets.items():
        rows: list[list[Any]] = [[] for _ in net.outputs]
        for _ in range(len(inputs[name][0])):
            for row, tensor in zip(rows, net.outputs, strict=True):
                dtype = DTYPES[c_type(net.codings[tensor])]
                size = array_size(net, tensor)
                shape = net.shapes[tensor] if size == net.size(tensor) else (size,)
                row.append(np.frombuffer(received, dtype, size, at).reshape(shape))
                at += row[-1].nbytes
        found[name] = [np.stack(row) for row in rows]
    assert at == len(received)
    return found
