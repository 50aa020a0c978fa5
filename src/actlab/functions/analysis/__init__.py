"""Numerical analysis of activation functions, such as range, smoothness, gain and equivalence."""
