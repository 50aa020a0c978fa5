"""The command line: each command parses, calls one public function and renders what it returns."""

from actlab.cli import bench, functions, model, study
from actlab.cli.app import app, main

__all__ = ["app", "bench", "functions", "main", "model", "study"]
