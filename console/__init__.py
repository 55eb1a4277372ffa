"""Andon: what you see. The Textual app and the command line."""
