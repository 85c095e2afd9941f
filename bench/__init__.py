"""Measurements against a baseline: `make bench` runs them all and writes docs/benchmarks.md."""
