"""The command line: each command parses, calls one public function and renders what it returns."""

from actlab.cli import catalogue, model, speed, study
from actlab.cli.app import app, main

__all__ = ["app", "catalogue", "main", "model", "speed", "study"]
