"""Activations in PyTorch models (layers, sites, forward passes, probes, training, transforms)."""
