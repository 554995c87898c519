"""The usual implementation, written plainly from the formulas: what a researcher's repository does today.

Graphs are COO tensors multiplied by `torch.sparse.mm`; every batch propagates over the full graph; Adam with its default
settings walks over every table; an evaluation scores and sorts a dense block of users after propagating once more for each
block, and counts hits in Python. It computes the same numbers as `bench`: `benchmarks.check` asserts it before anything is timed.
"""
