"""Measure what the activations of a model do while it runs."""
