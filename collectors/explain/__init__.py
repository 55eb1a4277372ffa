"""`andon collect --explain`: how the records of one file are read, field by field, and why the rest is not.

It only reads. Every text that leaves here is redacted under a key of the moment; what shows it must sanitise it.
"""

from __future__ import annotations

from collectors.explain.file import explain_file
from collectors.explain.model import Explained

__all__ = ["Explained", "explain_file"]
