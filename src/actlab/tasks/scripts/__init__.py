"""Trials that are runs of a user's own training script."""
