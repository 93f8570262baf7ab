"""Bytes to values and back. Everything here is pure: no sockets, no clock, no chance."""
