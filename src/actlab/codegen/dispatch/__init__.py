"""Kernel or formula, for each call."""
