"""A file that is one JSON value: read whole, each version of it anew.

Such a file has no place that it is read up to. What is known of it is the hash of the version that was read; a file
that says the same again is not read again, and one that is being written is left alone until it is whole.
"""

from __future__ import annotations

import msgspec

from collectors.formats.base import Line
from collectors.tail.content import Content
from collectors.tail.identity import digest
from collectors.tail.lines import SAMPLE_BYTES, Oversize, Stretch
from store.record.batch import Source

MAX_DOCUMENT_BYTES = 32 << 20
_BOM = b"\xef\xbb\xbf"
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_SPACE = b" \t\r\n"


def document_in(content: Content) -> bytes | None:
    """All of the file, where that is one JSON object or array and not a line of several. OSError as for any read."""
    if content.size() > MAX_DOCUMENT_BYTES:
        return None
    data = content.pread(MAX_DOCUMENT_BYTES, 0).removeprefix(_BOM)
    if not data.lstrip(_SPACE).startswith((b"{", b"[")) or not is_whole(data):
        return None
    first, newline, _ = data.partition(b"\n")
    return None if newline and is_whole(first) else data


def may_become_document(content: Content) -> bool:
    """True where the file starts as a JSON value over many lines does, and may only not be written to its end."""
    start = content.pread(4096, 0).removeprefix(_BOM)
    first, newline, _ = start.partition(b"\n")
    opens = start.lstrip(_SPACE).startswith((b"{", b"["))
    return opens and content.size() <= MAX_DOCUMENT_BYTES and not (newline and is_whole(first))


def is_whole(data: bytes) -> bool:
    """True for exactly one JSON value, whatever it holds; nothing of it is built."""
    try:
        _skip(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def read_document(content: Content, source: Source) -> Stretch:
    """The file's new version as one Line. No line: it says what it said, or is not written to its end yet.

    `changed`: it is no document any more but lines, and is to be read anew as such.
    """
    size_bytes = content.size()
    if size_bytes > MAX_DOCUMENT_BYTES:
        sample = content.pread(SAMPLE_BYTES, 0)
        if source.head_hash == digest(sample) and source.offset == size_bytes:
            return Stretch(size_bytes=size_bytes)
        source.head_hash, source.offset = digest(sample), size_bytes
        source.lines += 1
        too_long = Oversize(0, size_bytes, digest(sample).hex(), sample)
        return Stretch(oversize=[too_long], size_bytes=size_bytes)
    data = content.pread(MAX_DOCUMENT_BYTES, 0)
    version = digest(data)
    if len(data) == source.offset and version == source.head_hash:
        return Stretch(size_bytes=len(data))
    value = data.removeprefix(_BOM)
    if not is_whole(value):
        first, newline, _ = value.partition(b"\n")
        return Stretch(size_bytes=len(data), changed=bool(newline and is_whole(first)))
    source.offset, source.head_hash = len(data), version
    source.lines += 1
    return Stretch(lines=[Line(0, value)], size_bytes=len(data))
