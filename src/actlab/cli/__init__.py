"""Command line interface, whose commands parse, call one public function and render its result."""

from actlab.cli import bench, functions, model, study
from actlab.cli.app import app, main

__all__ = ["app", "bench", "functions", "main", "model", "study"]
