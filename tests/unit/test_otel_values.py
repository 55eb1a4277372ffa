"""The values of OTLP's JSON, in both dialects and in every damaged form that writers are known to produce."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest

from collectors.formats.otel.json_request import is_request, read_request, severity
from collectors.formats.otel.json_values import any_value, attributes, bytes_text, hex_id, nanos, status_code
from collectors.formats.otel.span import ERROR, OK, UNSET
from tests.unit.format_documents import files_of, loaded
from tests.unit.format_files import needs_data

TRACE = "5b8efff798038103d269b633813fc60c"
SPAN = "eee19b7ec3c1b174"
AT = "1769825640000000000"


@pytest.mark.parametrize(
    ("value", "size_bytes", "expected"),
    [
        (TRACE, 16, TRACE),
        (TRACE.upper(), 16, TRACE),
        ("0x" + TRACE, 16, TRACE),
        (str(uuid.UUID(TRACE)), 16, TRACE),
        (base64.b64encode(bytes.fromhex(TRACE)).decode(), 16, TRACE),
        (base64.b64encode(bytes.fromhex(TRACE)).decode().rstrip("="), 16, None),  # could be any word
        ("invalid-hex", 8, None),
        (base64.urlsafe_b64encode(bytes.fromhex("fb" * 16)).decode(), 16, "fb" * 16),
        (SPAN.upper(), 8, SPAN),
        ("TWf61QGIn9I=", 8, "4d67fad501889fd2"),  # of the real data
        ("", 16, ""),
        (None, 8, ""),
        ("0" * 32, 16, ""),
        ("0x" + "0" * 16, 8, ""),
        ("AAAAAAAAAAA=", 8, ""),
        ("1234", 16, None),
        ("0" * 31 + "G", 16, None),
        ("0" * 31, 16, None),
        ("  " + "1" * 30, 16, None),
        (SPAN, 16, None),
        (TRACE, 8, None),
        ("x" * 100_000, 16, None),
        (17, 8, None),
        (["a"], 8, None),
        ("ｆ" * 16, 8, None),  # digits of another script
    ],
)
def test_ids(value: object, size_bytes: int, expected: str | None) -> None:
    assert hex_id(value, size_bytes) == expected


@pytest.mark.parametrize(
    ("value", "expected", "flagged"),
    [
        ({"stringValue": "x"}, "x", False),
        ({"intValue": "715"}, 715, False),
        ({"intValue": 715}, 715, False),
        ({"intValue": "-9223372036854775808"}, -(2**63), False),
        ({"intValue": 2.0}, 2, False),
        ({"intValue": "seven"}, "seven", True),
        ({"intValue": "1" * 5000}, "1" * 5000, True),
        ({"intValue": 2.5}, None, True),
        ({"doubleValue": 637.704}, 637.704, False),
        ({"doubleValue": 3}, 3.0, False),
        ({"doubleValue": "NaN"}, "NaN", False),
        ({"doubleValue": "1.5"}, 1.5, False),
        ({"boolValue": False}, False, False),
        ({"boolValue": "no"}, "no", True),
        ({"bytesValue": "aGk="}, "hi", False),
        ({"bytesValue": "//8="}, "//8=", False),  # no text: its base64
        ({"bytesValue": "%%%"}, "%%%", True),
        ({"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "1"}]}}, ["a", 1], False),
        ({"arrayValue": {}}, [], False),
        ({"arrayValue": {"values": [{"arrayValue": {"values": [{"boolValue": True}]}}]}}, [[True]], False),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}, {"k": 1}, False),
        ({"kvlistValue": {"values": [{"key": "k"}, {"key": "e", "value": {}}]}}, {"k": None, "e": {}}, False),
        ({"kvlistValue": {"values": [{"value": {"intValue": "1"}}]}}, {}, True),
        ({"stringValue": None}, None, False),
        ({"stringValue": 5}, None, True),
        ({"key1": {"stringValue": "v"}, "key2": {"intValue": 2}}, {"key1": "v", "key2": 2}, False),  # a plain map
        ({"string_value": "x"}, "x", False),
        ("bare", "bare", False),
        (None, None, False),
    ],
)
def test_any_value(value: object, expected: object, flagged: bool) -> None:
    flags: set[str] = set()
    assert any_value(value, flags) == expected
    assert bool(flags) is flagged
    if value is not None:  # and the same as an attribute, by the fast way or the careful one
        flags.clear()
        assert attributes([{"key": "k", "value": value}], flags) == {"k": expected}
        assert bool(flags) is flagged


def test_a_bad_attribute_costs_the_others_nothing() -> None:
    flags: set[str] = set()
    good = {"key": "a", "value": {"intValue": "1"}}
    pairs: list[Any] = [good, 7, {"key": None, "value": {"stringValue": "x"}}, {"value": {}}, {"key": "b"}]
    assert attributes(pairs, flags) == {"a": 1, "b": None}
    assert flags == {"attributes"}
    for wrong in ("text", 7, True):
        flags.clear()
        assert attributes(wrong, flags) == {}
        assert flags == {"attributes"}
    flags.clear()
    assert attributes({"http.status_code": "500", "retryable": True}, flags) == {
        "http.status_code": "500",
        "retryable": True,
    }
    assert attributes(None, flags) == attributes([], flags) == {}
    assert not flags


def test_values_nested_without_end_are_cut_and_flagged() -> None:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(300):
        value = {"arrayValue": {"values": [value]}}
    flags: set[str] = set()
    any_value(value, flags)
    assert flags == {"value"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (AT, int(AT)), (int(AT), int(AT)), ("0", None), (0, None), ("", None), (None, None), ("1", None),
        ("1" * 70, None), ({}, None), ("x", None), (True, None), (float("inf"), None),
    ],
)  # fmt: skip
def test_times(value: object, expected: int | None) -> None:
    assert nanos(value) == expected


def test_codes_by_number_and_by_name() -> None:
    assert [status_code(one) for one in (0, "STATUS_CODE_UNSET", None)] == [UNSET] * 3
    assert [status_code(one) for one in (1, "1", "STATUS_CODE_OK", "OK")] == [OK] * 4
    assert [status_code(one) for one in (2, "STATUS_CODE_ERROR", "error")] == [ERROR] * 3
    assert [status_code(one) for one in ("NOT_A_STATUS", 9, ["OK"])] == [None] * 3
    assert [severity(17), severity("SEVERITY_NUMBER_ERROR3"), severity(None, "fatal"), severity(9)] == [17, 17, 21, 9]
    assert [severity(0), severity(99), severity("loud"), severity([]), severity([1])] == [0] * 5


def test_bytes_that_are_text_are_text() -> None:
    assert bytes_text(b"sk-secret") == "sk-secret"
    assert bytes_text(b"\xff\xff") == "//8="


def request(**span: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": TRACE, "spanId": SPAN, "name": "n", **span}]}]}]}


def test_names_of_the_proto_file_and_those_before_scopes() -> None:
    snake = {
        "resource_spans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"string_value": "s"}}]},
                "scope_spans": [
                    {
                        "spans": [
                            {
                                "trace_id": TRACE,
                                "span_id": SPAN,
                                "parent_span_id": SPAN,
                                "start_time_unix_nano": AT,
                                "attributes": [{"key": "a_b", "value": {"int_value": "1"}}],
                            }
                        ]
                    }
                ],
            }
        ]
    }
    (span,) = read_request(snake).spans
    assert (span.trace_id, span.parent_id, span.started_ns) == (TRACE, SPAN, int(AT))
    assert (span.attributes, span.resource) == ({"a_b": 1}, {"service.name": "s"})
    old = {
        "resourceSpans": [
            {"instrumentationLibrarySpans": [{"instrumentationLibrary": {"name": "lib"}, "spans": [{"name": "n"}]}]}
        ]
    }
    (span,) = read_request(old).spans
    assert span.scope == "lib"


def cases(name: str) -> list[Any]:
    found = files_of("otlp-json", f"opentelemetry/{name}.json")
    return [pytest.param(case, id=key) for path in found for key, case in loaded(path).items()]


@needs_data
@pytest.mark.parametrize("case", [*cases("traces"), *cases("logs")])
def test_the_cases_of_fluent_bit(case: dict[str, Any]) -> None:
    """What they accept is whole here; what they refuse as a whole is read as far as it can be, and says what is not."""
    records = read_request(case["input"])
    flags = {flag for one in records.spans for flag in one.flags} | {flag for one in records.logs for flag in one.flags}
    error = case.get("expected_error", {}).get("code", "").removeprefix("FLB_OTEL_")
    ids = [one.trace_id for one in records.logs]
    if not error or "LINK" in error or "EVENT" in error or error.endswith(("NAME_MISSING", "KVLIST", "BODY_TYPE")):
        assert not records.bad  # links and the attributes of scopes are not kept; the others are no error to us
        assert flags <= {"time"}  # their times of 1 ns
    elif error.endswith(("SCOPE_SPANS_MISSING", "_SPANS_MISSING", "LOGS_MISSING")) and is_request(case["input"]):
        assert not records.spans + records.logs  # empty lists are no error
        assert not records.bad
    elif "INVALID" in error and ids and all(ids):
        assert flags <= {"span_id"}  # base64 is the other dialect
    elif "INVALID" in error:
        assert flags or any("" in (one.trace_id, one.span_id) for one in records.spans)  # "" names none
    else:
        assert records.bad or flags
