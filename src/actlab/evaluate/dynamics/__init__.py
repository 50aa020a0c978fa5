"""Behaviour of a trained model under further training."""
