"""Simulated rounding and pruning of weights and activations."""
