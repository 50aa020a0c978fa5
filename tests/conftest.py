"""Conditions of all tests: Hypothesis with the same examples in every run, printed tables as into a pipe, signals that are not ignored."""

import os
import signal

from hypothesis import settings

# The same examples in every run: a suite that is green once is green again. Look for new ones with --hypothesis-profile=default.
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")

# Workers of pytest-xdist have the terminal's width of the first process in their environment.
os.environ.pop("COLUMNS", None)

# A shell starts what runs in its background with Ctrl-C ignored, and nohup with SIGHUP; child processes inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
