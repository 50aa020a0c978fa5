"""Execution of a study's trials by worker processes."""
