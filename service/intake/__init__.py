"""What others send in forms of their own, read into messages. Pure: bytes and headers in; messages,
and what was refused of them, out. The instant of receipt is an argument."""
