"""Batches of a task's data from datasets and loaders."""
