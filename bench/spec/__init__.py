"""Specs: YAML with positions to frozen values, checked against the world, expanded to cells with an identity."""
