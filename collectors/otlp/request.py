"""From the bytes of one request to what the collector takes: a pure function, whatever carried them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from collectors.formats.decode import CANNOT, UnreadableError, decode_object
from collectors.formats.otel.json_request import Records, TooManyRecordsError, is_request, read_request
from collectors.formats.otel.records import spans_of, spans_of_log
from collectors.inbox import Delivery
from collectors.otlp.body import RefusedError
from collectors.otlp.protobuf import (
    MOST_MESSAGES,
    MOST_RECORDS,
    TooLargeRequestError,
    UnreadableRequestError,
    read_logs,
    read_traces,
)
from store.record.batch import Feed
from store.record.span import Span

NAME = "otlp"
TRACES, LOGS, METRICS = "traces", "logs", "metrics"
_FEW_BYTES = 1 << 20  # a body so short is harmless, whatever it holds
_ROW_BYTES = 1024  # a record's size in memory, beside its texts
T = TypeVar("T")


def delivery_of(feed: str, signal: str, body: bytes, *, as_json: bool) -> Delivery:
    """What a request came to. RefusedError: 400 where it is none, 413 where it holds too much.

    A record that cannot be read is in `bad` and costs the others nothing. Metrics are taken and counted by request:
    a sender that is refused would send them for ever.
    """
    records = _records(signal, body, as_json=as_json)
    delivery = Delivery(Feed(feed=feed, format=NAME, seen_ns=time.time_ns()), bad=records.bad)
    if records.metrics:
        delivery.unknown_types[f"{NAME}/metrics"] = records.metrics
    _add(delivery, records.spans, spans_of)
    _add(delivery, records.logs, spans_of_log)
    delivery.feed.records, delivery.feed.rejected = len(delivery.spans), len(delivery.bad)
    delivery.size_bytes = len(body) + _ROW_BYTES * len(delivery.spans)
    return delivery


def _records(signal: str, body: bytes, *, as_json: bool) -> Records:
    if signal == METRICS:
        return Records(metrics=1)
    try:
        if as_json:
            return _json(body)
        return read_traces(body) if signal == TRACES else read_logs(body)
    except TooManyRecordsError:
        raise RefusedError(413, f"more than {MOST_RECORDS:,} records; send smaller batches") from None
    except TooLargeRequestError as error:
        raise RefusedError(413, f"{error}; send smaller batches") from None
    except (UnreadableError, UnreadableRequestError) as error:
        raise RefusedError(400, str(error)) from None
    except RecursionError:
        raise RefusedError(400, "nested too deeply") from None


def _json(body: bytes) -> Records:
    if len(body) > _FEW_BYTES and (
        body.count(b"{") + body.count(b"[") > MOST_MESSAGES or body.count(b",") > 2 * MOST_MESSAGES
    ):
        raise TooLargeRequestError(f"more than {MOST_MESSAGES:,} values")
    value, mended = decode_object(body)
    if value and not is_request(value):
        raise UnreadableError("not an OTLP request")
    records = read_request(value, most=MOST_RECORDS) if value else Records()
    if mended:
        for flags in (*(one.flags for one in records.spans), *(one.flags for one in records.logs)):
            flags |= mended
    return records


def _add(delivery: Delivery, records: Iterable[T], read: Callable[..., list[Span]]) -> None:
    for record in records:
        try:
            delivery.spans += read(record, agent=None, format_name=NAME)
        except UnreadableError as error:
            delivery.bad.append(str(error))
        except Exception as error:  # noqa: BLE001 - one record must not refuse the others of its request
            delivery.bad.append(f"{CANNOT} ({type(error).__name__})")
