"""Audit of a task's data for duplicates, leaks, wrong splits and imbalance, in one pass."""
