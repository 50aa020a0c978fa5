"""Registered activations recognised by what a function computes."""
