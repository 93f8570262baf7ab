"""Commands for operators: settings, metrics, audit log, cache, budget."""
