#!/usr/bin/env bash
# onnxruntime 1.32.0: adding a number to a tensor whose last dimension has one element takes about 100 times as long as to the same tensor
# reshaped.
#
# One would guess that x + 2 costs the same for 262,144 numbers, whatever their shape. It does for shapes (262144,) and (512, 512). With
# shape (262144, 1) the CPU kernels of Add, Mul, Max and others broadcast the constant element by element.
# A regression net or a value head ends in a tensor (batch, 1), and an activation on it, of a few such nodes, is then slower than the layer
# before it. A latency that is measured on (n, 1) says nothing of other shapes.
# ActLab measures latencies on tensors whose last dimension is long (src/actlab/export/onnx/latency.py, tests/export/onnx/test_latency.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PYTHON'
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
graph = helper.make_graph([helper.make_node("Add", ["x", "two"], ["y"])], "add", [value("x")], [value("y")], [two])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model.SerializeToString(), options)
print("onnxruntime", onnxruntime.__version__)
shapes = ((262144,), (512, 512), (262144, 1))
times = {shape: [] for shape in shapes}
for _ in range(21):
    for shape in shapes:
        x = np.ones(shape, np.float32)
        start = time.perf_counter()
        session.run(None, {"x": x})
        times[shape].append(time.perf_counter() - start)
medians = {shape: 1e3 * float(np.median(each)) for shape, each in times.items()}
for shape, median in medians.items():
    print(f"shape {shape}: {median:.3f} ms")
assert medians[262144, 1] > 10 * medians[512, 512], f"the behaviour has changed: {medians}"
PYTHON
