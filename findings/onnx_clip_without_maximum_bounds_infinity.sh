#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.32.0: Clip with a minimum only turns infinity into 3.4e38, and Max does not.
#
# One would guess that a Clip without a maximum leaves large numbers alone, as torch.clamp(x, min=0) does, so that Clip(x, min=0) and
# Max(x, 0) and Relu are the same function. The missing maximum stands for the largest number of the dtype, and infinity is above it.
# An overflow in a hidden layer becomes a finite number at the first such Clip: isfinite() at the output sees nothing.
# ActLab writes one-sided clamps as Max, Min or Relu, and Clip with both bounds only (tests/codegen/onnx/test_program.py).
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
print("onnxruntime", onnxruntime.__version__)
seen = {}
for operator in ("Clip", "Max"):
    graph = helper.make_graph([helper.make_node(operator, ["x", "zero"], ["y"])], "g", [value("x")], [value("y")], [zero])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    seen[operator] = float(session.run(None, {"x": np.array([np.inf], np.float32)})[0][0])
    print(f"{operator}(inf, 0) = {seen[operator]}")
assert np.isfinite(seen["Clip"]) and np.isinf(seen["Max"]), f"the behaviour has changed: {seen}"
PYTHON
