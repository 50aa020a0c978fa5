"""Claims on what is left of a net in fewer bits and with fewer weights."""
