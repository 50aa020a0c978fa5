"""In-place changes of a model."""
