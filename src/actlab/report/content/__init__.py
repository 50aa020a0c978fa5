"""Sentences, formatted numbers and data series shared by charts, terminal and HTML."""
