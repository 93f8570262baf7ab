"""Text: surrogate repair for UTF-8, secret redaction, quotation of server text, number formatting. Pure."""
