"""segserve: assigns customers to segments in real time."""
