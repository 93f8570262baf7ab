"""Endpoints other than completions: embeddings, images, files, fine-tuning and tools. State is in memory."""
