"""The usual implementation, written plainly from the formulas: what a researcher's repository does today.

Graphs are COO tensors multiplied by `torch.sparse.mm`; every batch propagates over the full graph; Adam with its
default settings walks over every table; an evaluation scores and sorts dense blocks of users, propagates once more for
each block and counts hits in Python. It computes the same numbers as `bench`, which `benchmarks.check` asserts before
anything is timed.
"""
