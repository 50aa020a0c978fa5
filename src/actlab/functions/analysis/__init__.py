"""Numerical analysis of activation functions: range, smoothness, gain, equivalence and depth."""
