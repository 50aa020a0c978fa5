"""Export to ONNX, from the capture of the model to the check of the file in a runtime."""
