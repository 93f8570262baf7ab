"""How requests and answers look as bytes: validation, shapes, errors, delivery."""
