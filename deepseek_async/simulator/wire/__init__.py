"""Wire formats: validation, encoding, errors and delivery."""
