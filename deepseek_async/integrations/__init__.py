"""The client inside of other systems; each needs its own extra."""
