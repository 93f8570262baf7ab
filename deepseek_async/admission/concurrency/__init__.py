"""A window that finds by itself how many attempts the server runs at once. Pure."""

from deepseek_async.admission.concurrency.adaptive_limit import AdaptiveLimit

__all__ = ["AdaptiveLimit"]
