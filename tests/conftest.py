"""Hypothesis settings of all tests, with the same examples in every run, and the width of printed tables."""

import os

from hypothesis import settings

# The same examples in every run: a suite that is green once is green again. Look for new ones with --hypothesis-profile=default.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# Tables are printed as into a pipe: workers of pytest-xdist have the terminal's width of the first process in their environment.
os.environ.pop("COLUMNS", None)
