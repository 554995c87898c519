"""Analysis: what the stored runs say, and how sure one can be of it. It knows store and metrics, never methods."""
