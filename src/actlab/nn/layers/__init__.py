"""Modules that compute activations."""
