"""Axes beyond the main metric, and the audit of a task's data."""
