"""Trials of one task that are trained as one stacked computation."""
