"""Encoding of requests and decoding of answers. Pure: no sockets, no clock, no randomness."""
