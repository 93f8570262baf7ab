"""Public API resources, in the shape of openai-python."""
