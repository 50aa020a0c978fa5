"""Measurements of a model's activations (statistics, gradients, dead units, rank, saved memory)."""
