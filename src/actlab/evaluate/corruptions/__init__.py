"""Corruptions of images, tables, series and text, by severity."""
