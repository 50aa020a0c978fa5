"""How the arms of a study compare on axes beyond its metric."""
