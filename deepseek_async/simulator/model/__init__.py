"""The pretended model: what it is called, what it reads, what that costs, what it says. Pure."""
