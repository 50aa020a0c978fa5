"""Audit of a task's data for duplicates, label conflicts, leaks, wrong splits and imbalance, by streaming."""
