"""ONNX nodes printed from formulas, in the form that runtimes compute fast and without loss in the tails."""
