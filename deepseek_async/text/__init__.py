"""Texts: what UTF-8 carries, keys taken out, quotations of servers, figures for people. Pure."""
