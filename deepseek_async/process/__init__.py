"""The process we run in: forks, garbage collection, tracebacks that are kept."""
