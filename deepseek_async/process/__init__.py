"""Process-wide concerns: forks, garbage collection, retained tracebacks."""
