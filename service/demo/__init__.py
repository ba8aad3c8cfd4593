"""The demo: 2,469 real households of a grocery, and the starter segments that fit them."""
