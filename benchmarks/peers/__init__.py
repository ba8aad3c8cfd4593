"""What segserve is measured against, each given exactly the same definitions.

A peer of the single form has `prepare(conditions, now_us)`, which compiles once and answers a
function from one profile (a dict of JSON values) to the indices of the conditions it matches. The
block form is `prepare(conditions, profiles, now_us)`, answering a function without arguments.
"""
