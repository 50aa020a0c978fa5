"""Exclude the example files of the documentation from test collection."""

collect_ignore = ["files"]
