"""Processes that ActLab has started, and what these have started."""
