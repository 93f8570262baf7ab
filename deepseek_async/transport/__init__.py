"""HTTP and WebSocket transport. Only this folder imports aiohttp's client; others use ``Transport`` and its types."""
