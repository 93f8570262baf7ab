"""One call, from the request's bytes to a typed answer: attempts, retries, streams."""
