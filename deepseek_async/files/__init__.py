"""Files: private permissions, bounded reads, atomic replacement, SQLite, streamed uploads."""
