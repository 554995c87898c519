"""Recommendation of items that nobody has taken yet; a module's name is the method's name."""
