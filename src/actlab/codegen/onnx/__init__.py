"""ONNX nodes printed from formulas, in forms that runtimes compute fast and right in the tails."""
