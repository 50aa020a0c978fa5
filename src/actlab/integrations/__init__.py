"""Other libraries: every activation by its name where they look activations up."""

from actlab.integrations.registration import Names, Registered, register

__all__ = ["Names", "Registered", "register"]
