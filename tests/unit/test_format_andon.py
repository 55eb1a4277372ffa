"""Andon NDJSON: what is required, what is dropped and flagged, what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.formats.andon import json_schema
from store.record.span import Rank, Span
from tests.unit.format_files import lines_from, merged, parse, rejected

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "andon-ndjson.schema.json"
T = "2026-01-31T02:14:00.123Z"
T_NS = 1_769_825_640_123_000_000


def one(**fields: Any) -> Span:
    parsed = parse("andon", lines_from({"session_id": "s1", "kind": "llm", "time": T, **fields}))
    assert not parsed.bad, rejected(parsed)
    (span,) = parsed.spans
    return span


def reason(row: object) -> str:
    parsed = parse("andon", lines_from(row))
    assert not parsed.spans
    (why,) = rejected(parsed)
    return why


def test_every_field_of_the_design_arrives() -> None:
    span = one(
        kind="tool",
        run_id="r1",
        span_id="x1",
        parent_id="x0",
        agent="billing",
        agent_version="2",
        environment="prod",
        host="h1",
        user_id="u1",
        tenant_id="t1",
        credential_id="c1",
        started_at="2026-01-31T02:13:59.123Z",
        ttft_ms=12.5,
        wait={"human_ms": 1500, "queue_ms": 2},
        status="error",
        error_type="timeout",
        error_message="took too long",
        model="m",
        model_served="m-1",
        provider="p",
        tokens={
            "input": 1,
            "cache_read": 2,
            "cache_write_5m": 3,
            "cache_write_1h": 4,
            "output": 5,
            "reasoning": 1,
        },
        cost_usd=0.0206,
        tool={"name": "search", "call_id": "call-1", "args": {"q": "a/b"}, "result": "none found"},
        effect={
            "system": "crm",
            "operation": "update",
            "resource": "customer/7",
            "status": "sent",
            "idempotency_key": "k1",
            "external_id": "e1",
            "reversible": True,
        },
        prompt_hash="ph",
        prompt_version="pv",
        tools_hash="th",
        retry_of="x9",
        attempt=2,
        context_tokens=100,
        context_limit=200,
        score={"name": "judge", "value": 0.5, "label": "meh"},
        guard={"instance": "h-1-2", "action": 41},
    )
    assert (span.namespace, span.span_id, span.session, span.run_id) == ("session:s1", "x1", "s1", "r1")
    assert (span.started_ns, span.ended_ns, span.rank) == (T_NS - 1_000_000_000, T_NS, Rank.ENDED)
    assert (span.ttft_ns, span.human_wait_ns, span.queue_wait_ns) == (12_500_000, 1_500_000_000, 2_000_000)
    assert (span.tokens_input, span.tokens_cache_read, span.tokens_output, span.tokens_reasoning) == (1, 2, 5, 1)
    assert (span.tokens_cache_write_5m, span.tokens_cache_write_1h) == (3, 4)
    assert (span.cost_nano, span.cost_basis) == (20_600_000, "reported")
    assert (span.effect_system, span.effect_status, span.effect_reversible) == ("crm", "sent", "yes")
    assert (span.effect_basis, span.effect_idempotency_key, span.effect_external_id) == ("reported", "k1", "e1")
    assert (span.score_name, span.score_value, span.guard_instance, span.guard_action) == ("judge", 0.5, "h-1-2", 41)
    assert (span.tool, span.attempt, span.context_tokens, span.context_limit) == ("search", 2, 100, 200)
    assert span.parts == {"input": '{"q":"a/b"}', "output": "none found", "call_id": "call-1"}
    assert span.flags is None


@pytest.mark.parametrize(
    ("fields", "started", "ended"),
    [
        ({"time": T}, None, T_NS),
        ({"time": None, "ended_at": T}, None, T_NS),
        ({"time": T, "duration_ms": 1.5}, T_NS - 1_500_000, T_NS),
        ({"time": None, "started_at": T, "duration_ms": 2}, T_NS, T_NS + 2_000_000),
        ({"time": T, "ended_at": "2026-01-31T02:14:01.123Z"}, None, T_NS + 1_000_000_000),
        ({"time": 1_769_825_640}, None, 1_769_825_640_000_000_000),
        ({"time": 1_769_825_640.123}, None, T_NS),
        ({"time": 1_769_825_640_123}, None, T_NS),
        ({"time": 1_769_825_640_123_000}, None, T_NS),
        ({"time": T_NS}, None, T_NS),
        ({"time": "2026-01-31T02:14:00.123456789+00:00"}, None, 1_769_825_640_123_456_789),
        ({"time": "2026-01-31 03:14:00.123+01:00"}, None, T_NS),
        ({"time": "2026-01-31T02:14:00.123"}, None, T_NS),
    ],
)
def test_times(fields: dict[str, Any], started: int | None, ended: int) -> None:
    span = one(**fields)
    assert (span.started_ns, span.ended_ns, span.flags) == (started, ended, None)


def test_a_start_and_its_end_are_one_span() -> None:
    start = {"session_id": "s1", "kind": "tool", "span_id": "x", "started_at": T, "tool": {"name": "pay"}}
    end = {"session_id": "s1", "kind": "tool", "span_id": "x", "ended_at": "2026-01-31T02:14:02.123Z", "status": "ok"}
    first = parse("andon", lines_from(start)).spans[0]
    assert (first.rank, first.ended_ns, first.status) == (Rank.STARTED, None, None)
    for order in ((start, end), (end, start)):
        (row,) = merged(parse("andon", lines_from(*order)).spans).values()
        assert (row["started_ns"], row["ended_ns"], row["status"]) == (T_NS, T_NS + 2_000_000_000, "ok")
        assert row["tool"] == "pay"


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ({"kind": "llm", "time": T}, "session_id"),
        ({"session_id": "", "kind": "llm", "time": T}, "session_id"),
        ({"session_id": ["s"], "kind": "llm", "time": T}, "session_id"),
        ({"session_id": "s", "time": T}, "kind"),
        ({"session_id": "s", "kind": 3, "time": T}, "kind"),
        ({"session_id": "s", "kind": "llm"}, "no time"),
        ({"session_id": "s", "kind": "llm", "time": "yesterday"}, "no time"),
        ({"session_id": "s", "kind": "llm", "time": -5}, "no time"),
        ({"session_id": "s", "kind": "llm", "duration_ms": 5}, "no time"),
        ({"session_id": "s", "kind": "llm", "started_at": T}, "span_id"),
        ([1], "not a JSON object"),
        (b"{", "not JSON"),
        (b"plain text", "not JSON"),
    ],
)
def test_a_line_without_what_is_required_is_a_reject(row: object, why: str) -> None:
    assert why in reason(row)


def test_an_unknown_kind_is_counted_and_never_names_a_secret() -> None:
    rows = [{"session_id": "s", "kind": kind, "time": T} for kind in ("embedding", "embedding", "sk-123456", "a" * 99)]
    parsed = parse("andon", lines_from(*rows))
    assert parsed.unknown_types == {"andon/embedding": 2, "andon/(other)": 2}
    assert not parsed.spans
    assert not parsed.bad


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({"cost_usd": "abc"}, "cost_usd"),
        ({"cost_usd": -1}, "cost_usd"),
        ({"cost_usd": 1e9}, "cost_usd"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"status": "great"}, "status"),
        ({"tokens": {"input": -4, "output": 5}}, "tokens.input"),
        ({"tokens": {"input": 10**19}}, "tokens.input"),
        ({"tokens": {"input": 1.5}}, "tokens.input"),
        ({"tokens": 17}, "tokens"),
        ({"attempt": True}, "attempt"),
        ({"started_at": "2026-02-31T00:00:00Z"}, "started_at"),
        ({"started_at": "2026-03-01T00:00:00Z"}, "started_at"),
        ({"ended_at": 10**18 * 10**3}, "ended_at"),
        ({"effect": {"system": "crm", "status": "done"}}, "effect.status"),
        ({"agent": 5}, "agent"),
        ({"guard": {"instance": "g", "action": 2**64}}, "guard.action"),
        ({"user_id": 77}, "user_id"),
        ({"model": "m" * 5000}, "model"),
    ],
)
def test_a_wrong_field_is_dropped_and_flagged_and_the_line_is_kept(fields: dict[str, Any], flag: str) -> None:
    span = one(model=fields.pop("model", "m1"), **fields)
    assert span.flags == flag
    assert span.ended_ns == T_NS
    assert span.cost_nano is None
    assert (span.tokens_input, span.attempt, span.guard_action) == (None, None, None)
    assert span.model is not None
    assert len(span.model) <= 1024


def test_ids_that_are_numbers_become_text() -> None:
    span = one(session_id=12, span_id=2**70, user_id=77)
    assert (span.session, span.span_id, span.user_id) == ("12", str(2**70), "77")
    assert span.flags == "session_id,span_id,user_id"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 4400])
def test_a_number_that_is_none_never_reaches_a_sum(number: str) -> None:
    line = f'{{"session_id":"s","kind":"llm","time":"{T}","cost_usd":{number},"score":{{"value":{number}}}}}'
    (span,) = parse("andon", lines_from(line.encode())).spans
    assert (span.cost_nano, span.cost_basis, span.score_value) == (None, None, None)
    assert span.flags == "cost_usd,number,score.value"


def test_damaged_text_is_mended_and_flagged() -> None:
    lines = lines_from(
        b'{"session_id":"s","kind":"llm","time":"%s","output":"a\\ud800b"}' % T.encode(),
        b'{"session_id":"s","kind":"llm","time":"%s","output":"caf\xe9"}' % T.encode(),
        b'{"session_id":"s","kind":"llm","time":"%s","output":"a\\u0000b"}' % T.encode(),
        b'\xef\xbb\xbf{"session_id":"s","kind":"llm","time":"%s","output":"bom"}' % T.encode(),
    )
    spans = parse("andon", lines).spans
    assert [span.parts["output"] for span in spans] == ["a\ufffdb", "caf\ufffd", "a\0b", "bom"]
    assert [span.flags for span in spans] == ["surrogate", "utf8", None, None]


def test_unknown_fields_stay_with_the_payload() -> None:
    span = one(region="eu", tokens={"input": 3, "audio": 9}, tool={"name": "t", "color": "red"})
    assert json.loads(span.parts["extra"]) == {"region": "eu", "tokens": {"audio": 9}, "tool": {"color": "red"}}
    assert (span.tokens_input, span.tool, span.flags) == (3, "t", None)


def test_the_last_of_duplicate_keys_wins() -> None:
    line = b'{"session_id":"a","session_id":"b","kind":"run","kind":"llm","time":"%s"}' % T.encode()
    (span,) = parse("andon", lines_from(line)).spans
    assert (span.session, span.kind) == ("b", "llm")


def test_input_of_a_line_and_arguments_of_its_tool_are_both_kept() -> None:
    span = one(input="prompt", tool={"name": "t", "args": [1]}, output={"a": "\u0040"})
    assert span.parts == {"input": "prompt", "input:tool": "[1]", "output": '{"a":"@"}'}


def test_a_line_that_names_no_outcome_is_unknown_not_ok() -> None:
    assert one().status == "unknown"
    assert one(error_type="x").status == "error"
    assert one(status="cancelled").status == "cancelled"


def test_a_line_without_span_id_is_known_by_its_hash() -> None:
    row = {"session_id": "s", "kind": "llm", "time": T}
    parsed = parse("andon", lines_from(row, row, {**row, "attempt": 1}))
    assert len(merged(parsed.spans)) == 2
    assert all(len(span.span_id) == 32 for span in parsed.spans)


def test_a_log_without_an_agent_is_called_after_its_source_or_its_format() -> None:
    row = {"session_id": "s", "kind": "llm", "time": T}
    assert parse("andon", lines_from(row)).spans[0].agent == "andon"
    assert parse("andon", lines_from(row), agent="billing").spans[0].agent == "billing"
    assert parse("andon", lines_from({**row, "agent": "own"}), agent="billing").spans[0].agent == "own"


def test_a_long_error_message_is_cut_in_the_row_and_whole_in_a_part() -> None:
    span = one(error_message="x" * 9000)
    assert span.error_message is not None
    assert len(span.error_message) == 2001
    assert len(span.parts["error_message"]) == 9000


def test_the_published_schema_is_current() -> None:
    assert json.loads(SCHEMA.read_text("utf-8")) == json.loads(json.dumps(json_schema())), (
        "run: python -m collectors.formats.andon_line > docs/andon-ndjson.schema.json"
    )


def test_the_schema_welcomes_unknown_fields_and_says_what_is_required() -> None:
    schema = json_schema()
    assert schema["required"] == ["session_id", "kind"]
    assert "additionalProperties" not in json.dumps(schema)
    assert {"required": ["started_at"]} in schema["anyOf"]
