"""Recommendation methods; a module's name is the method's name."""
