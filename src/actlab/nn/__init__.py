"""Activations in an ``nn.Module``, as layers, sites, probes, training and in-place transforms."""
