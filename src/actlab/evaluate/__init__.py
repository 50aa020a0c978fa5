"""Evaluation beyond the main metric of a task."""
