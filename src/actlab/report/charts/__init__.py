"""Charts as SVG, for light and dark pages."""
