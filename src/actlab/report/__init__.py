"""Render results as terminal tables, SVG charts and HTML pages, without computing any."""
