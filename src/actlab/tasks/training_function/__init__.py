"""Training functions of the user, whose loop is wholly their own."""
