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
    whole: bool = False  # it is one document: `offset` is the length of the version read, `head_hash` is of all of it


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


class Finding(msgspec.Struct, kw_only=True):
    """Personal data, a secret or an injection pattern that was found in a record, and what was done about it.

    One row for each (span, part, class, token); `count` is how often it stood there. For text that is no span's
    (a rejected line, a file name), `namespace` is "" and `span_id` names the place.
    """

    class_: str  # email, card, api_key, prompt_injection, ...
    namespace: str
    span_id: str
    part: str  # the field or payload part
    token: str  # the keyed token that stands in its place; "" where nothing was replaced
    count: int
    direction: str  # entered, left
    via: str  # user, tool, retrieval, output
    handled: str  # replaced, flagged
    system: str | None = None  # where it went, or came from
    session: str | None = None
    agent: str | None = None
    at_ns: int | None = None


class Feed(msgspec.Struct, kw_only=True):
    """A source that is no file: a receiver or a pull. `records` and `rejected` count since it was first seen."""

    feed: str  # "otlp 127.0.0.1:4318", "phoenix http://127.0.0.1:6006 default"
    format: str
    cursor: str = ""  # where a pull goes on
    seen_ns: int = 0  # wall clock of the last records
    records: int = 0
    rejected: int = 0
    state: str = "following"  # following, failing, finished
    message: str | None = None


class Probe(msgspec.Struct, kw_only=True):
    """One health probe of an agent's infrastructure."""

    agent: str
    at_ns: int
    ok: bool
    status: str  # the HTTP status, or what went wrong in a word: timeout, refused, tls, redirect
    latency_ns: int | None = None


class Batch(msgspec.Struct, kw_only=True):
    """Records already normalised, priced and redacted. `duplicates` and such are counted by the writer."""

    spans: list[Span] = []
    durable: bool = False  # it cannot be read again: on the disk before the commit returns
    packed: list[bytes] = []  # more spans, as store.telemetry.packed.pack made them in another process (msgpack)
    sources: list[Source] = []
    rejects: list[Reject] = []
    gaps: list[Gap] = []
    unknown_types: dict[str, int] = {}  # rows of a kind that the format does not know, by `format/type`
    findings: list[Finding] = []
    feeds: list[Feed] = []
    probes: list[Probe] = []


class Written(msgspec.Struct, kw_only=True):
    """What one transaction did. A record that changed nothing is a duplicate."""

    records: int = 0
    new_spans: int = 0
    changed_spans: int = 0
    duplicates: int = 0
    too_old: int = 0
    rejects: int = 0
    gaps: int = 0
