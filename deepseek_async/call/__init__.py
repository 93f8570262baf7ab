"""One call, from request bytes to a typed answer: attempts, retries, streams."""
