"""Speed, operation cost and float32 accuracy of single activations."""
