"""Activations in transformers and timm, probe callbacks for trainers, and log writers."""

from actlab.integrations.registration import Names, Registered, register

__all__ = ["Names", "Registered", "register"]
