"""How fast the arms of a study converge, beside how they end."""
