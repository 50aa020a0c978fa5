"""Recognition of registered activations by the values and gradients of a function."""
