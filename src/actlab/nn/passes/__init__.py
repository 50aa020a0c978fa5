"""State that forward passes change, axes of units, and linear maps that run."""
