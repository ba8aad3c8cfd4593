"""Conditions of other programs, taken in: each form as our wire format, with what it can't keep."""
