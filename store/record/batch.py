"""What a collector hands to the writer: one batch is one transaction."""

from __future__ import annotations

import msgspec

from store.record.span import Span


class Source(msgspec.Struct, kw_only=True):
    """Where one file is read up to. Written in the same transaction as the rows read before `offset`.

    Identity is (device, inode) with the hash of the first `head_length` bytes and of the `tail_length` bytes before
    the offset; a path is only a name. `offset` never lies past the last newline that was read.
    """

    source_id: str  # made once, when the file is first seen; stable over renames
    path: str
    device: int
    inode: int
    head_length: int
    head_hash: bytes
    offset: int
    tail_length: int
    tail_hash: bytes
    format: str | None = None
    agent: str | None = None
    parser_state: bytes = b""
    size_bytes: int = 0
    pending_bytes: int = 0  # read, not yet ended by a newline
    pending_since_ns: int | None = None
    lines: int = 0
    blank_lines: int = 0
    rejected: int = 0
    seen_ns: int = 0  # wall clock of the last read that found something
    state: str = "following"  # following, finished (rotated away and read to its end), missing, unreadable
    message: str | None = None  # why, where the state is not `following`


class Reject(msgspec.Struct, kw_only=True):
    """A line that could not be read: where it lies and why. `sample` is redacted, at most 2,048 characters."""

    source_id: str
    path: str
    offset: int
    length: int
    reason: str
    line_hash: str
    sample: str
    at_ns: int


class Gap(msgspec.Struct, kw_only=True):
    """Bytes that no tailer can bring back, counted so that the loss is never silent."""

    path: str
    at_ns: int
    lost_bytes: int | None
    reason: str


class Batch(msgspec.Struct, kw_only=True):
    """Records already normalised, priced and redacted. `duplicates` and such are counted by the writer."""

    spans: list[Span] = []
    sources: list[Source] = []
    rejects: list[Reject] = []
    gaps: list[Gap] = []
    unknown_types: dict[str, int] = {}  # rows of a kind that the format does not know, by `format/type`


class Written(msgspec.Struct, kw_only=True):
    """What one transaction did. A record that changed nothing is a duplicate."""

    records: int = 0
    new_spans: int = 0
    changed_spans: int = 0
    duplicates: int = 0
    too_old: int = 0
    rejects: int = 0
    gaps: int = 0
