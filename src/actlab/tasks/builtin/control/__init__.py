"""Tasks of control by reinforcement learning."""
