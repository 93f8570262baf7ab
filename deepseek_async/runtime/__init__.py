"""Client runtime: state shared between clients, one session per origin, sessions of other endpoints."""
