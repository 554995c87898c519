"""Graphs as declared stages, compiled with DGL, cached, and multiplied with torch."""

from bench.graph import clips as clips  # registers its stage, so that YAML can name it
