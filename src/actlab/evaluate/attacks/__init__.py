"""Attacks on a classifier within a distance, with gradients and without."""
