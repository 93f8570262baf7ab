"""Adaptive concurrency limit: finds how many attempts the server accepts at once. Pure."""

from deepseek_async.admission.concurrency.adaptive_limit import AdaptiveLimit

__all__ = ["AdaptiveLimit"]
