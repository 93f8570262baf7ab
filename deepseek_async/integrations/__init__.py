"""Integrations with other systems; each requires its own extra."""
