"""Building blocks that several methods share; each lives here once."""
