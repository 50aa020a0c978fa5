"""Activations in an ``nn.Module``: layers, sites, probes, training and in-place transforms."""
