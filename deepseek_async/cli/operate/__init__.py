"""Commands for who runs it in production: settings, metrics, audit, cache, budget."""
