"""In-place changes to a model's activations, with undo()."""
