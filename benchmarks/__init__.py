"""Measurements of segserve beside its peers, as ratios of one run: `python -m benchmarks`."""
