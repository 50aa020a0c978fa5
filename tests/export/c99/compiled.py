"""C projects as functions of NumPy arrays, compiled into one library."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from actlab.export.c99.source import print_net
from actlab.export.net.net import Net

FLAGS = "-std=c99 -O0 -fPIC -shared -Wall -Wextra -Wconversion -Werror -ffp-contract=off -fsanitize=undefined -fno-sanitize-recover"


def compiled(nets: Mapping[str, Net], folder: Path) -> Mapping[str, Callable[..., tuple[Any, ...]]]:
    """Return a function for each net, by name.

    Args:
        nets: by a name that is a C identifier.
        folder: for the files.
    """
    for name, net in nets.items():
        printed = print_net(net, name)
        (folder / f"{name}.h").write_text(printed.header)
        (folder / f"{name}.c").write_text(printed.source)
    library = folder / "nets.so"
    files = [str(folder / f"{name}.c") for name in nets]
    command = [*shlex.split(os.environ.get("CC", "gcc")), *FLAGS.split(), *files, "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:4000]
    loaded = ctypes.CDLL(str(library))
    return {name: _function(net, getattr(loaded, f"{name}_run")) for name, net in nets.items()}


def _function(net: Net, run: Any) -> Callable[..., tuple[Any, ...]]:
    dtypes = [np.int32 if net.is_whole(name) else np.float32 for name in net.outputs]

    def call(*inputs: Any) -> tuple[Any, ...]:
        rows = []
        for example in zip(*inputs, strict=True):
            arrays = [np.ascontiguousarray(each, dtype=np.float32) for each in example]
            outputs = [np.empty(net.shapes[name], dtype) for name, dtype in zip(net.outputs, dtypes, strict=True)]
            run(*(ctypes.c_void_p(array.ctypes.data) for array in (*arrays, *outputs)))
            rows.append(outputs)
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    return call
