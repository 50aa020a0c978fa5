"""Activations in an nn.Module."""
