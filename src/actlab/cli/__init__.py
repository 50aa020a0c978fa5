"""Command line interface, whose commands parse, call one public function and render its result."""

from actlab.cli.stop import answer_signals, is_program

if is_program():  # before the other imports, in whose fifth of a second Ctrl-C would end in a traceback
    answer_signals()

from actlab.cli import bench, claims, conform, data, export, functions, model, published, study
from actlab.cli.app import app, main

__all__ = ["app", "bench", "claims", "conform", "data", "export", "functions", "main", "model", "published", "study"]
