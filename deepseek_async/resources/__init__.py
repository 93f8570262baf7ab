"""The surface that callers see, in the shapes of openai-python."""
