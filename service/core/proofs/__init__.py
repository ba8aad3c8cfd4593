"""Proofs about definitions, made when they are saved: what can never match, always does, or is
in vain.

Sound and not complete: what is claimed holds for every customer, and where a proof would take too
long nothing is claimed. Every claim is a refutation: its contrary is put as goals (`goals`), taken
apart branch by branch (`refuting`), and each branch ends at values that no field can have
(`values`, `texts`, `times`, `comparing`). `definitions` and `schemes` say what to refute, `wording`
how to tell it.
"""
