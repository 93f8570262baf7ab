"""What is not a completion: embeddings, images, files and fine-tuning. Each keeps its state in memory."""
