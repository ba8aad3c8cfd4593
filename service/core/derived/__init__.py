"""Derived traits that are computed from other traits: ratios, formulas, scores and ranks."""
