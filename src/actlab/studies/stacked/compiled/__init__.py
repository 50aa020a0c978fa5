"""Compiled code that computes one model of a stack after the other."""
