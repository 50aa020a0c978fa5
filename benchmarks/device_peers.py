"""Multilayer perceptron with relu as C projects of other libraries, in the form that actlab.export.device measures.

    python benchmarks/device_peers.py NAME LAYERS.npz FOLDER [--source PATH]

NAME is emlearn, bakenn, onnx2c or cmsis-nn. Each runs in a process of its own: importing emlearn changes ``numpy.geterr()``. Nothing of
these libraries is kept. The written folder has ``peer.h`` and ``peer.c``, which includes what the library generated and defines
``peer_run``, and ``codes.npz`` with the coding of the input.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

CMSIS_SOURCES = (
    "FullyConnectedFunctions/arm_fully_connected_per_channel_s8.c",
    "NNSupportFunctions/arm_nn_vec_mat_mult_t_per_ch_s8.c",
)
Arrays = Mapping[str, Any]


def write(folder: Path, body: str, kind: str, **codes: Any) -> None:
    """Write the two files and the codings."""
    (folder / "peer.h").write_text(f"#include <stdint.h>\nvoid peer_run(const {kind} *input, {kind} *output);\n")
    (folder / "peer.c").write_text(f'#include "peer.h"\n{body}')
    np.savez(folder / "codes.npz", kind=kind, **codes)


def emlearn(arrays: Arrays, folder: Path, _: Path | None) -> None:
    """Write emlearn's loadable net, without a softmax at its end."""
    import emlearn.net  # noqa: PLC0415 # changes numpy.geterr()

    weights, biases = ([arrays[f"{name}_{i}"] for i in range(3)] for name in ("weight", "bias"))
    text = emlearn.net.c_generate_net_loadable(
        ["relu", "relu", "identity"], [weight.T for weight in weights], biases, prefix="emlearn_net"
    )
    (folder / "generated.h").write_text(text)
    for file in Path(emlearn.__file__).parent.glob("*.h"):
        shutil.copy(file, folder)
    for file in folder.glob("*.h"):
        file.write_text(re.sub(r"#include <(eml_\w+\.h)>", r'#include "\1"', file.read_text()))
    call = f"(void)emlearn_net_regress(input, {weights[0].shape[1]}, output, {len(biases[-1])});"
    write(
        folder,
        f'#include "generated.h"\nvoid peer_run(const float *input, float *output)\n{{\n    {call}\n}}\n',
        "float",
    )


def bakenn(arrays: Arrays, folder: Path, _: Path | None) -> None:
    """Write BakeNN's portable int8 net, quantised after training with the calibration examples."""
    import bakenn as library  # noqa: PLC0415 # only where it is asked for
    import torch  # noqa: PLC0415 # slow to import
    from torch import nn  # noqa: PLC0415 # as above

    parts: list[nn.Module] = []
    for i in range(3):
        weight, bias = (torch.from_numpy(arrays[f"{name}_{i}"]) for name in ("weight", "bias"))
        linear = nn.Linear(weight.shape[1], weight.shape[0])
        linear.load_state_dict({"weight": weight, "bias": bias})
        parts += [linear, nn.ReLU()]
    examples = torch.from_numpy(arrays["calibration"])
    model = nn.Sequential(*parts[:-1]).eval()
    library.compile_torch_ptq(model, examples[:1], [x[None] for x in examples], folder, name="net")
    macros = dict(re.findall(r"#define (BKNN_NET_INPUT_\w+) (\S+)", (folder / "bknn_net.h").read_text()))
    body = "\n".join(f'#include "bknn_net{part}.c"' for part in ("_weights", "_kernels", ""))
    body += """
void peer_run(const int8_t *input, int8_t *output)
{
    static uint8_t arena[BKNN_NET_ARENA_SIZE] __attribute__((aligned(BKNN_NET_ARENA_ALIGNMENT)));
    bknn_net_infer(arena, input, output);
}
"""
    scale, zero = macros["BKNN_NET_INPUT_SCALE"], macros["BKNN_NET_INPUT_ZERO_POINT"]
    write(folder, body, "int8_t", scale=float.fromhex(scale.rstrip("f") if "p" in scale else scale), zero=int(zero))


def onnx2c(_: Arrays, folder: Path, program: Path | None) -> None:
    """Write onnx2c's net of the file ``net.onnx`` in the folder."""
    text = subprocess.run([str(program), "net.onnx"], cwd=folder, check=True, capture_output=True, text=True).stdout  # noqa: S603 # given
    (folder / "generated.c").write_text(text)
    call = "    entry((const void *)input, (void *)output);"
    write(
        folder, f'#include "generated.c"\nvoid peer_run(const float *input, float *output)\n{{\n{call}\n}}\n', "float"
    )


def cmsis_nn(arrays: Arrays, folder: Path, checkout: Path | None) -> None:
    """Write calls of CMSIS-NN's dense layer per channel, with the weights, multipliers and clamps of our int8 net."""
    assert checkout is not None
    shutil.copytree(checkout / "Include", folder, dirs_exist_ok=True)
    for file in CMSIS_SOURCES:
        shutil.copy(checkout / "Source" / file, folder)
    parts = ["#define CMSIS_NN_USE_SINGLE_ROUNDING", *(f'#include "{Path(file).name}"' for file in CMSIS_SOURCES)]
    calls = []
    for i in range(3):
        weight = arrays[f"code_{i}"]
        rows, columns = weight.shape
        for name, kind, values in (
            ("weight", "int8_t", weight),
            ("bias", "int32_t", arrays[f"sum_{i}"]),
            ("multiplier", "int32_t", arrays[f"multiplier_{i}"]),
            ("shift", "int32_t", 31 - arrays[f"shift_{i}"]),
        ):
            numbers = np.broadcast_to(values, weight.shape if name == "weight" else (rows,)).reshape(-1)
            parts.append(
                f"static const {kind} {name}_{i}[{numbers.size}] = {{{', '.join(map(str, numbers.tolist()))}}};"
            )
        zero, out, low, high = (int(arrays[f"{name}_{i}"]) for name in ("zero", "out", "low", "high"))
        parts += [
            f"static int8_t hidden_{i}[{rows}];" if i < 2 else "",
            f"static const cmsis_nn_fc_params params_{i} = {{{-zero}, 0, {out}, {{{low}, {high}}}}};",
            f"static const cmsis_nn_per_channel_quant_params quant_{i} = {{(int32_t *)multiplier_{i}, (int32_t *)shift_{i}}};",
            f"static const cmsis_nn_dims in_{i} = {{1, 1, 1, {columns}}}, filter_{i} = {{{columns}, 1, 1, {rows}}};",
            f"static const cmsis_nn_dims bias_dims_{i} = {{1, 1, 1, {rows}}}, out_{i} = {{1, 1, 1, {rows}}};",
        ]
        source, target = ("input" if i == 0 else f"hidden_{i - 1}"), ("output" if i == 2 else f"hidden_{i}")
        calls.append(
            f"    (void)arm_fully_connected_per_channel_s8(&context, &params_{i}, &quant_{i}, &in_{i}, {source}, &filter_{i}, weight_{i}, "
            f"&bias_dims_{i}, bias_{i}, &out_{i}, {target});"
        )
    parts.append("void peer_run(const int8_t *input, int8_t *output)\n{\n    const cmsis_nn_context context = {0, 0};")
    body = "\n".join([*parts, *calls, "}", ""])
    write(folder, body, "int8_t", scale=arrays["input_scale"], zero=arrays["zero_0"])


PEERS: Mapping[str, Callable[[Arrays, Path, Path | None], None]] = {
    "emlearn": emlearn,
    "bakenn": bakenn,
    "onnx2c": onnx2c,
    "cmsis-nn": cmsis_nn,
}


def main() -> None:
    """Write the project of a peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(PEERS))
    parser.add_argument("layers", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    with np.load(options.layers) as arrays:
        PEERS[options.name](dict(arrays), options.folder, options.source)


if __name__ == "__main__":
    main()
