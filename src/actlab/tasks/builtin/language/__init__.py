"""Tasks on the text of Shakespeare's plays, a character-level language model and a classifier."""
