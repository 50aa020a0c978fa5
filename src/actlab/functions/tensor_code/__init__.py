"""Tensor code of the functions that have no formula."""
