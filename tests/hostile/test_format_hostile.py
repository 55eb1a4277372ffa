"""No bytes stop a parser: damaged JSON, hostile sizes, wrong types in every place. The next line is always read."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.formats import FORMATS, recognise
from collectors.formats.base import Line, Parsed, SourceFacts
from collectors.formats.decode import CANNOT, MAX_VALUE_BYTES
from store.record.merge import row_of
from store.record.span import Span
from tests.unit.format_files import DATA, PI_FILE, VIEWER, format_of, lines_of, needs_data, parse

NAMES = [one.name for one in FORMATS]
T = "2026-01-31T02:14:00Z"
GOOD: dict[str, dict[str, Any]] = {
    "andon": {
        "session_id": "s",
        "kind": "tool",
        "span_id": "x",
        "time": T,
        "started_at": T,
        "duration_ms": 5,
        "status": "ok",
        "tokens": {"input": 3},
        "cost_usd": 0.5,
        "tool": {"name": "t", "args": {"a": 1}},
        "effect": {"system": "crm", "status": "sent"},
        "guard": {"instance": "i", "action": 1},
        "wait": {"human_ms": 3},
        "score": {"name": "n", "value": 0.5},
    },
    "pi": {
        "type": "message",
        "id": "a1",
        "timestamp": T,
        "message": {
            "role": "assistant",
            "timestamp": 1_769_825_640_000,
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "thinking", "thinking": "hm"},
                {"type": "toolCall", "id": "c1", "name": "bash", "arguments": {"command": "ls"}},
            ],
            "model": "m",
            "provider": "p",
            "usage": {"input": 1, "output": 1, "totalTokens": 2, "cost": {"total": 0.1}},
            "stopReason": "toolUse",
            "errorMessage": "e",
        },
    },
    "claude-code": {
        "type": "assistant",
        "uuid": "u1",
        "parentUuid": "u0",
        "sessionId": "s",
        "timestamp": T,
        "requestId": "r",
        "isSidechain": True,
        "isApiErrorMessage": False,
        "version": "2",
        "message": {
            "id": "m1",
            "model": "claude-opus-4-5",
            "stop_reason": "tool_use",
            "content": [
                {"type": "text", "text": "hi"},
                {"type": "thinking", "thinking": "hm"},
                {"type": "tool_use", "id": "t1", "name": "Task", "input": {"prompt": "p"}},
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "x"}]},
            ],
            "usage": {"input_tokens": 1, "output_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 1}},
        },
    },
}
WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    2**63,
    2**70,
    10**18,
    -(10**18),
    1e308,
    "",
    "x",
    "a\0b",
    "\ud800",
    "🎉" * 400,
    "y" * 3000,
    [],
    [[]],
    ["x", 3, None],
    {},
    {"type": "text"},
    {"": {"": []}},
    [{"type": "tool_use"}, {"type": "tool_result"}, {"type": []}],
]


def storable(parsed: Parsed) -> None:
    """Nothing is a fault of ours, and SQLite takes every row and every part."""
    assert [bad.reason for bad in parsed.bad if bad.reason.startswith(CANNOT)] == []
    with sqlite3.connect(":memory:") as connection:
        for span in parsed.spans:
            row = row_of(span)
            connection.execute(f"SELECT {','.join('?' * len(row))}", row).fetchone()
            connection.execute(f"SELECT {','.join('?' * (len(span.parts) + 1))}", (1, *span.parts.values())).fetchone()
            sane(span)
    connection.close()


def sane(span: Span) -> None:
    for name in ("started_ns", "ended_ns"):
        value = getattr(span, name)
        assert value is None or 0 < value < 2**63
    assert span.cost_nano is None or 0 <= span.cost_nano <= 10**15
    assert all(count is None or 0 <= count <= 10**10 for count in (span.tokens_input, span.tokens_output))
    assert span.score_value is None or abs(span.score_value) < float("inf")
    if span.started_ns is not None and span.ended_ns is not None:
        assert span.started_ns <= span.ended_ns


def paths_in(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(found for key, value in items for found in paths_in(value, (*path, key)))]


def with_value(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = with_value(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize("name", NAMES)
def test_any_wrong_value_in_any_place(name: str) -> None:
    good = GOOD[name]
    rows = [with_value(good, path, wrong) for path in paths_in(good) for wrong in WRONG]
    lines = [Line(number, json.dumps(row).encode()) for number, row in enumerate(rows)]
    storable(parse(name, lines))


@pytest.mark.parametrize("name", NAMES)
def test_the_next_line_is_read_whatever_came_before(name: str) -> None:
    good = json.dumps(GOOD[name]).encode()
    bad = [b"", b"{", b"null", b"\xff\xfe", b"[" * 100_000, good[:-9], good.replace(b'"', b"'"), b"\x00" * 50]
    for one in bad:
        parsed = parse(name, [Line(0, one), Line(len(one) + 1, good)])
        assert parsed.spans, one[:20]
        assert [reject.line.offset for reject in parsed.bad] == [0]
        storable(parsed)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_values_in_random_places(name: str, data: st.DataObject) -> None:
    row = GOOD[name]
    for _ in range(data.draw(st.integers(1, 3))):
        paths = paths_in(row)
        row = with_value(row, data.draw(st.sampled_from(paths)), data.draw(_json))
        if not isinstance(row, dict):
            break
    storable(parse(name, [Line(0, json.dumps(row).encode())]))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes(name: str, data: bytes) -> None:
    parsed = parse(name, lines_of(data))
    assert parsed.spans == []
    storable(parsed)
    recognise(data.split(b"\n"))


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_damage_corpora(name: str) -> None:
    for path in sorted((DATA / "bad-json").rglob("*")) + sorted((DATA / "naughty-strings").rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            recognise(data.split(b"\n"))
            storable(parse(name, lines_of(data)))
            storable(parse(name, [Line(0, data)]))


@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_naughty_strings_in_every_text_field(name: str) -> None:
    (blns,) = (DATA / "naughty-strings").rglob("blns.json")
    strings = json.loads(blns.read_text("utf-8"))
    good = GOOD[name]
    texts = [path for path in paths_in(good) if isinstance(at(good, path), str)]
    rows = [with_value(good, path, strings[number % len(strings)]) for number, path in enumerate(texts * 40)]
    storable(parse(name, [Line(number, json.dumps(row).encode()) for number, row in enumerate(rows)]))


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


@needs_data
@pytest.mark.parametrize("path_and_name", [("fe5e1c67*", "claude-code"), ("", "pi")])
def test_real_files_torn_at_random_places(path_and_name: tuple[str, str]) -> None:
    pattern, name = path_and_name
    path = next(VIEWER.glob(pattern)) if pattern else PI_FILE
    draw = random.Random(7)
    data = bytearray(path.read_bytes())
    for _ in range(3000):
        data[draw.randrange(len(data))] = draw.randrange(256)
    storable(parse(name, lines_of(bytes(data)), str(path)))


@pytest.mark.parametrize("name", NAMES)
def test_a_line_beyond_the_limit_is_refused_before_it_is_parsed(name: str) -> None:
    line = b'{"a":"' + b"x" * MAX_VALUE_BYTES + b'"}'
    began = time.process_time()
    (bad,) = parse(name, [Line(0, line)]).bad
    assert "longer than" in bad.reason
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("depth", [500, 900, 1100, 20_000])
def test_deep_nesting_ends_in_a_span_or_a_reject(name: str, depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    good = json.dumps(GOOD[name]).encode()
    for line in (
        good.replace(b'{"a": 1}', deep).replace(b'{"command": "ls"}', deep).replace(b'"p"}', deep + b"}"),
        deep,
    ):
        parsed = parse(name, [Line(0, line), Line(len(line), good)])
        assert len(parsed.bad) <= 1
        assert parsed.spans
        storable(parsed)


def test_many_keys_and_long_keys() -> None:
    row = {**GOOD["andon"], **{f"k{number}": number for number in range(100_000)}, "z" * 1_000_000: 1}
    parsed = parse("andon", [Line(0, json.dumps(row).encode())])
    (span,) = parsed.spans
    assert len(json.loads(span.parts["extra"])) == 100_001
    assert span.flags is None


def test_ten_thousand_names_of_types_are_few_counters() -> None:
    rows = [{"type": f"type-{number}", "sessionId": "s"} for number in range(10_000)]
    parsed = parse("claude-code", [Line(number, json.dumps(row).encode()) for number, row in enumerate(rows)])
    assert parsed.unknown_types == {"claude-code/(other)": 10_000}


@pytest.mark.parametrize("name", ["claude-code", "pi"])
def test_the_state_stays_small_whatever_is_left_open(name: str) -> None:
    parser = format_of(name).parser(SourceFacts("s", "/x.jsonl"))
    lines = []
    for number in range(2000):
        row = json.loads(json.dumps(GOOD[name]).replace('"t1"', f'"t{number}"').replace('"c1"', f'"c{number}"'))
        row.update(uuid=f"u{number}" * 300, id=f"a{number}" * 300, parentUuid=None)
        row["message"]["id"] = f"m{number}" * 300
        row["message"]["content"] = [one for one in row["message"]["content"] if one["type"] != "tool_result"]
        lines.append(Line(number, json.dumps(row).encode()))
    parser.parse(lines)
    assert len(parser.state()) < 512 * 1024
