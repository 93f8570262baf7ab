"""The connections of a client: what clients share, one session for each origin, those of other endpoints."""
