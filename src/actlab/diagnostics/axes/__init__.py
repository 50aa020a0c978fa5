"""Axes of one trained model."""
