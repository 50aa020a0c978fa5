"""Audit of a task's data, for duplicates between the test split and the others."""
