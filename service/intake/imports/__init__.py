"""Imported files: what their rows tell of customers, orders, events, consent and lists."""
