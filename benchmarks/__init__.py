"""Speed and memory, measured by hand or in CI's slow lane; never a timed test.

`python -m benchmarks.run` compares `bench` with a plain reference of the usual implementation (`benchmarks.reference`).
"""
