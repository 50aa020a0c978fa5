"""Capture of a model as a graph of operators in which formulas are nodes, for all targets."""
