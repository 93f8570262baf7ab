"""The wire. The only folder that touches aiohttp's client; everything else sees ``Transport`` and ``Response``."""
