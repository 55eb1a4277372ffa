"""What is answered, in the sender's own encoding.

Source: the OpenTelemetry protocol specification 1.8, OTLP/HTTP: a partial success names how many records were refused
and why; an error's body is a google.rpc.Status; 429 and 503 are tried again by the sender, others are not.
"""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from collectors.otlp.body import RefusedError
from collectors.otlp.request import LOGS, METRICS, TRACES

PROTOBUF, JSON = "application/x-protobuf", "application/json"
REJECTED = {TRACES: "rejectedSpans", LOGS: "rejectedLogRecords", METRICS: "rejectedDataPoints"}
_RETRY_AFTER_S = "1"
_MAX_SAID_CHARS = 500


def success(signal: str, bad: list[str], *, as_json: bool) -> Response:
    """200. `bad`: why a record was refused, once for each."""
    said = "; ".join(dict.fromkeys(bad))[:_MAX_SAID_CHARS]
    if as_json:
        partial = {"partialSuccess": {REJECTED[signal]: str(len(bad)), "errorMessage": said}} if bad else {}
        return Response(msgspec.json.encode(partial), media_type=JSON)
    # ExportPartialSuccess {rejected = 1, error_message = 2}, as field 1 of the response: the same for every signal
    inner = b"\x08" + _varint(len(bad)) + _text_field(2, said) if bad else b""
    return Response(b"\x0a" + _varint(len(inner)) + inner if bad else b"", media_type=PROTOBUF)


def refusal(error: RefusedError, *, as_json: bool, close: bool) -> Response:
    """Its status, and a Status {message = 2} without a code, as HTTP has its own. `close`: end the connection.

    Otherwise the server reads on past what is left of the body, so that a sender that has not finished hears this.
    """
    headers = {"retry-after": _RETRY_AFTER_S} if error.status in (429, 503) else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if close:
        headers["connection"] = "close"
    if as_json:
        body = msgspec.json.encode({"message": error.message})
        return Response(body, error.status, headers, media_type=JSON)
    return Response(_text_field(2, error.message), error.status, headers, media_type=PROTOBUF)


def _text_field(number: int, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
