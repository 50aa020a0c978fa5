"""Find every activation of a model, as a module or a functional call."""
