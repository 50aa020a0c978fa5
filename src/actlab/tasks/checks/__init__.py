"""Checks of a task before any trial."""
