"""Tables and text for the terminal, as rich renderables."""
