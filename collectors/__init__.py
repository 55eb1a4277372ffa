"""Andon: what happened. Files and APIs become canonical records."""
