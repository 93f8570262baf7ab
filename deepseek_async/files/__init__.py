"""Files: who may read them, lines that cannot fill the memory, replacement at once, SQLite, uploads."""
