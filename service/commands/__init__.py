"""The subjects of the command `segserve` that have a module of their own."""
