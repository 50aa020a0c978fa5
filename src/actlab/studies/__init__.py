"""Reproducible comparisons of activation functions, from plan to verdict."""
