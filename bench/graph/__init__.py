"""Graphs as declared stages, compiled with DGL, cached, and multiplied with torch."""
