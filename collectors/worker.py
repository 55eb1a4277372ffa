"""Processes that parse, enrich and pack stretches of files for the collector; they touch neither file nor store.

    python -m collectors.worker READ WRITE [READ WRITE ...]

The enricher comes pickled on standard input. It is made once, its price list loaded, and then one process is forked for
each pair of descriptors: they share that memory. Each reads frames from its READ, answers on its WRITE, and ends when
its input does. A frame is its length (4 bytes, big endian) and a body in msgpack: Work, answered by Done.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import struct
import sys
import time
from typing import IO

import msgspec

from collectors.enrich import Enricher
from collectors.formats.base import Format, Line, Parser, SourceFacts
from collectors.refine import parse_lines, refine
from store.record.batch import Finding
from store.telemetry.packed import Packed, pack

_HEADER = struct.Struct(">I")
_KEPT_PARSERS = 64
_GC_THRESHOLDS = (50_000, 20, 20)  # records make no cycles; to look for them at every 700 objects takes a tenth


class Work(msgspec.Struct, array_like=True):
    """A stretch of one file. `state` None: go on with the parser that read the stretch before."""

    source_id: str
    path: str
    agent: str | None
    form: bytes  # the Format, pickled
    state: bytes | None
    lines: list[Line]


class Done(msgspec.Struct, array_like=True):
    """What a stretch came to. `bad`: (place in the lines, reason)."""

    packed: msgspec.Raw
    state: bytes
    records: int
    bad: list[tuple[int, str]]
    unknown_types: dict[str, int]
    refused: list[tuple[str, str]]  # see collectors.refine.Refused
    sessions: list[str]
    findings: list[Finding]
    said: str | None


class Worker:
    """Does Work, one piece after the other."""

    def __init__(self, enricher: Enricher) -> None:
        self._enricher = enricher
        self._parsers: dict[str, tuple[Format, Parser, bytes]] = {}
        self._encode = msgspec.msgpack.Encoder().encode

    def do(self, work: Work) -> Done:
        """Parse, enrich and pack. Raises for nothing that a line can say."""
        facts = SourceFacts(work.source_id, work.path, work.agent)
        if work.state is None:
            form, parser, state = self._parsers.pop(work.source_id)
        else:
            self._parsers.pop(work.source_id, None)
            form, state = pickle.loads(work.form), work.state  # noqa: S301 - made by the process that started this one
            parser = form.parser(facts, state)
        parsed, parser, said = parse_lines(form, facts, parser, state, work.lines)
        state = parser.state()
        self._parsers[work.source_id] = (form, parser, state)
        if len(self._parsers) > _KEPT_PARSERS:
            del self._parsers[next(iter(self._parsers))]
        records = len(parsed.spans)
        refined = refine(self._enricher, parsed.spans)
        packed = pack(refined.spans, time.time_ns())
        places = {line.offset: number for number, line in enumerate(work.lines)}
        return Done(
            msgspec.Raw(self._encode(packed)),
            state,
            records,
            [(places[bad.line.offset], bad.reason) for bad in parsed.bad],
            parsed.unknown_types,
            [(one.key_hash, one.reason) for one in refined.refused],
            _sessions(packed),
            refined.findings,
            said,
        )


def _sessions(packed: Packed) -> list[str]:
    return sorted({session for session, *_ in packed.runs if session})


def send(stream: IO[bytes], body: bytes) -> None:
    """Write one frame. OSError where the other end is gone."""
    stream.write(_HEADER.pack(len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The next frame, or None at the end."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (length,) = _HEADER.unpack(header)
    body = stream.read(length)
    return body if len(body) == length else None


def serve(enricher: Enricher, source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer every piece of Work until the input ends."""
    worker = Worker(enricher)
    decode, encode = msgspec.msgpack.Decoder(Work).decode, msgspec.msgpack.Encoder().encode
    while (body := receive(source)) is not None:
        send(sink, encode(worker.do(decode(body))))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the collector, which then ends these
    descriptors = [int(number) for number in sys.argv[1:]]
    pairs = list(zip(descriptors[::2], descriptors[1::2], strict=True))
    enricher: Enricher = pickle.load(sys.stdin.buffer)  # noqa: S301 - made by the process that started this one
    enricher.warm_up()
    gc.freeze()  # what is loaded stays, and stays shared
    gc.set_threshold(*_GC_THRESHOLDS)
    for pair in pairs:
        if os.fork() == 0:
            for other in descriptors:
                if other not in pair:
                    os.close(other)  # or nobody would see the end of it
            with open(pair[0], "rb") as source, open(pair[1], "wb") as sink, contextlib.suppress(BrokenPipeError):  # noqa: PTH123
                serve(enricher, source, sink)
            return
    for descriptor in descriptors:
        os.close(descriptor)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


if __name__ == "__main__":
    main()
