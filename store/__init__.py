"""Andon: what we know. Two SQLite files, the canonical record and the registry."""
