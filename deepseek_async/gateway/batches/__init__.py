"""OpenAI's Batch API over our batch jobs."""
