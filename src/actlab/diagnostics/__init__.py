"""Diagnose faults of a model, and measure the importance of its activations."""
