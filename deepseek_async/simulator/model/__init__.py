"""Simulated model: catalogue, prompt rendering, token counts and generated answers. Pure."""
