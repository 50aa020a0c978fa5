"""Activation functions, gradient rules and their specs, formulas, catalogue and analysis."""
