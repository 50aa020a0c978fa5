"""Binary nets as packed bits."""
