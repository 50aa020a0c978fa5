"""SVG charts of studies, speed benchmarks, importance measurements and activation functions."""
