"""How a task trains a model and how the model is evaluated."""
