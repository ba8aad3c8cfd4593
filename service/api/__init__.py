"""The HTTP surface: one router a noun, and the hot ASGI routes."""
