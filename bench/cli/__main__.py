"""`python -m bench.cli` does what `bench` does."""

from bench.cli import main

main()
