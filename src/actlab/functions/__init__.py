"""Activation functions: formulas, records, specs, gradient rules and the catalogue."""
