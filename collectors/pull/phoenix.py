"""Spans of a running Arize Phoenix, by its REST API.

`GET /v1/projects/{project}/spans?limit=…&cursor=…` answers `{data: [span…], next_cursor}`, newest row first; a cursor
is the GraphQL id of the row that the next page begins with, base64 of `Span:<number>`. Attributes are flat, as
OpenInference writes them, but for `openinference.span.kind`, which is the span's `span_kind`. Resource attributes are
not given. Source: phoenix/server/api/routers/v1/spans.py, as of 20.26; the order is the same in versions before.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from collectors.formats.decode import MAX_VALUE_BYTES, UnreadableError, cap, decode_object, digest, iso_ns, text_of
from collectors.formats.otel.json_values import SPAN_BYTES, TRACE_BYTES, hex_id, status_code
from collectors.formats.otel.records import spans_of
from collectors.formats.otel.span import ERROR, UNSET, OtelEvent, OtelSpan
from collectors.pull.http import TroubleError, body_of
from collectors.pull.walk import KEPT, LostOrderError, Row, Walk
from store.record.span import Span

if TYPE_CHECKING:
    import httpx

NAME = "phoenix"
PAGE_ROWS = 200
FIRST_ROWS = 2 * KEPT  # while not more than half of them are new, one page is a whole walk
MAX_PAGE_BYTES = MAX_VALUE_BYTES
TIMEOUT_S = 30.0
_ROW = "Span:"


@dataclass(frozen=True, slots=True)
class PhoenixSource:
    """One `[[pull]]`. `every_s` is the pause between walks; the token is in no text of it."""

    url: str
    project: str = "default"
    agent: str | None = None
    token: str | None = field(default=None, repr=False)
    every_s: float = 10.0
    timeout_s: float = TIMEOUT_S

    @property
    def feed(self) -> str:
        return f"{NAME} {self.url.rstrip('/')} {self.project}"


@dataclass(slots=True)
class Page:
    """What one answer came to. `bad`: why a span could not be read, once for each."""

    spans: list[Span] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    size_bytes: int = 0


class Phoenix:
    """Asks for one page after the other. `walk` is how far it is; it moves only when a page was read whole."""

    def __init__(self, source: PhoenixSource, own: httpx.AsyncClient, walk: Walk) -> None:
        self._source = source
        self._client = own
        self.walk = walk
        self._rows = PAGE_ROWS
        self._url = f"{source.url.rstrip('/')}/v1/projects/{quote(source.project, safe='')}/spans"
        self._headers = {} if source.token is None else {"authorization": f"Bearer {source.token}"}

    async def page(self) -> Page:
        """The next page. TroubleError where there is none; the walk stands where it stood, and can be tried again."""
        import asyncio

        while True:
            rows = min(self._rows, PAGE_ROWS if self.walk.under_way else FIRST_ROWS)
            params = {"limit": str(rows), "sort": "id", "order": "desc"}
            if self.walk.under_way:
                params["cursor"] = self.walk.next
            try:
                body = await body_of(
                    self._client,
                    self._url,
                    params=params,
                    headers=self._headers,
                    timeout_s=self._source.timeout_s,
                    max_bytes=MAX_PAGE_BYTES,
                )
            except TroubleError as error:
                if error.word == "422" and self.walk.under_way:  # the cursor means nothing any more
                    self.walk.next = ""
                    continue
                if error.word != "too_large":
                    raise
                if rows > 1:
                    self._rows = rows // 2
                    continue
                return self._without_the_next(error)
            self._rows = min(PAGE_ROWS, self._rows * 2)
            # a page may be many megabytes: the health probes, whose time is measured, do not wait for it
            return await asyncio.to_thread(self._read, body)

    def _without_the_next(self, error: TroubleError) -> Page:
        """A single span that is too large is passed over, counted, where its number is known."""
        number = row_number(self.walk.next) if self.walk.under_way else None
        if number is None:
            raise TroubleError("too_large", f"its newest span is longer than {MAX_PAGE_BYTES >> 20} MiB") from error
        self.walk.skip_to(cursor_of(number - 1), number)
        self._rows = PAGE_ROWS
        return Page(bad=[f"a span longer than {MAX_PAGE_BYTES >> 20} MiB was passed over"])

    def _read(self, body: bytes) -> Page:
        try:
            answer, _ = decode_object(body)
        except UnreadableError as error:
            raise TroubleError("garbage", f"its answer is {error}") from None
        data, following = answer.get("data"), answer.get("next_cursor")
        if not isinstance(data, list) or not isinstance(following, str | None):
            raise TroubleError("garbage", "its answer has no list of spans: is it a Phoenix?")
        rows = [_row_of(one) for one in data]
        try:
            fresh = self.walk.take(rows, following or "")
        except LostOrderError:
            raise TroubleError(
                "garbage", "its pages do not go down from the newest row: nothing can be resumed"
            ) from None
        page = Page(size_bytes=len(body))
        for place in fresh:
            try:
                page.spans += spans_of(otel_span(data[place]), agent=self._source.agent, format_name=NAME)
            except UnreadableError as error:
                page.bad.append(str(error))
            except Exception as error:  # noqa: BLE001 - one span must not keep the others of its page away
                page.bad.append(f"a span upset the reader ({type(error).__name__})")
        return page


def row_number(cursor: str) -> int | None:
    """`U3BhbjoxNw==` -> 17; None for what is no id of a row."""
    try:
        text = b64decode(cursor, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return None
    number = text.removeprefix(_ROW)
    return int(number) if text.startswith(_ROW) and number.isdigit() and len(number) < 19 else None


def cursor_of(number: int) -> str:
    return b64encode(f"{_ROW}{number}".encode()).decode()


def _row_of(span: Any) -> Row:
    own = span if isinstance(span, dict) else {}
    named = own.get("id")
    number = row_number(named) if isinstance(named, str) else None
    if number is None:
        raise TroubleError("garbage", "its spans have no row id: this Phoenix is too old to be pulled")
    context = own.get("context")
    key = context if isinstance(context, dict) else {}
    return number, digest(f"{key.get('trace_id')}:{key.get('span_id')}".encode("utf-8", "replace"), 6)


def otel_span(row: dict[str, Any]) -> OtelSpan:
    """One span of the answer as OpenTelemetry has it."""
    flags: set[str] = set()
    context = row.get("context")
    ids = context if isinstance(context, dict) else {}
    attributes = row.get("attributes")
    if not isinstance(attributes, dict):
        attributes = {}
        flags.add("attributes")
    kind = row.get("span_kind")
    if isinstance(kind, str) and kind not in ("", "UNKNOWN"):
        attributes = {"openinference.span.kind": kind, **attributes}
    status = status_code(row.get("status_code"))
    if status is None:
        status = UNSET
        flags.add("status_code")
    message = row.get("status_message")
    return OtelSpan(
        trace_id=_id(ids.get("trace_id"), TRACE_BYTES, "trace_id", flags),
        span_id=_id(ids.get("span_id"), SPAN_BYTES, "span_id", flags),
        parent_id=_id(row.get("parent_id"), SPAN_BYTES, "parent_id", flags),
        name=text_of(row.get("name")) or "",
        started_ns=_time(row, "start_time", flags),
        ended_ns=_time(row, "end_time", flags),
        status=status,
        status_message=message if isinstance(message, str) and status == ERROR else "",
        attributes=attributes,
        events=_events(row.get("events"), flags),
        flags=flags,
    )


def _id(value: Any, size_bytes: int, name: str, flags: set[str]) -> str:
    """Phoenix takes any text for an id that its own API was given."""
    found = hex_id(value, size_bytes)
    if found is not None:
        return found
    if isinstance(value, str):
        return cap(value)
    flags.add(name)
    return ""


def _time(row: dict[str, Any], name: str, flags: set[str]) -> int | None:
    value = row.get(name)
    ns = iso_ns(value) if isinstance(value, str) else None
    if ns is None and value is not None:
        flags.add(name)
    return ns


def _events(value: Any, flags: set[str]) -> list[OtelEvent]:
    if value is not None and not isinstance(value, list):
        flags.add("events")
        return []
    events = []
    for one in value or []:
        if not isinstance(one, dict):
            flags.add("events")
            continue
        attributes = one.get("attributes")
        events.append(
            OtelEvent(
                name=text_of(one.get("name")) or "",
                at_ns=_time(one, "timestamp", flags),
                attributes=attributes if isinstance(attributes, dict) else {},
            )
        )
    return events
