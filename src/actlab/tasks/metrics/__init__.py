"""Metrics of model outputs, per sample and for generated samples."""
