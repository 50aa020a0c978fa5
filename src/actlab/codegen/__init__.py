"""A formula as a program."""
