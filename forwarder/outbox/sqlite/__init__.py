"""The outbox on SQLite: one file beside its write-ahead log, its high-water mark and its lock."""
