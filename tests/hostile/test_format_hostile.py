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
    "langfuse": {
        "trace": {"id": "t", "timestamp": T, "sessionId": "s", "userId": "u", "projectId": "p", "latency": 1.5},
        "observations": [
            {"id": "o1", "traceId": "t", "type": "AGENT", "startTime": T, "endTime": T, "level": "ERROR"},
            {
                "id": "o2",
                "traceId": "t",
                "parentObservationId": "o1",
                "type": "GENERATION",
                "name": "call",
                "startTime": T,
                "endTime": T,
                "completionStartTime": T,
                "statusMessage": "e",
                "model": "m",
                "usageDetails": {"input": 3, "output": 2, "total": 5, "input_cached_tokens": 1},
                "costDetails": {"total": 0.1},
                "totalCost": 0.1,
                "promptName": "n",
                "promptVersion": 3,
                "input": '"{\\"a\\": 1}"',
                "metadata": '{"attributes": {"gen_ai.tool.name": "x"}}',
            },
            {"id": "o3", "traceId": "t", "level": "DEBUG", "type": "TOOL", "name": "x", "startTime": T, "endTime": T},
        ],
    },
    "langsmith": {
        "post": [
            {
                "id": "r",
                "trace_id": "r",
                "dotted_order": "20260131T021400000000Zr",
                "run_type": "llm",
                "name": "n",
                "session_name": "p",
                "start_time": T,
                "inputs": {"model": "m", "a": {"a": 1}},
                "extra": {"metadata": {"ls_model_name": "m", "thread_id": "th"}},
            }
        ],
        "patch": [
            {
                "trace_id": "r",
                "dotted_order": "20260131T021400000000Zr",
                "end_time": 1_769_825_640_000,
                "error": "ValueError('x')",
                "total_cost": "0.1",
                "first_token_time": T,
                "outputs": {
                    "choices": [{"finish_reason": "stop"}],
                    "usage_metadata": {
                        "input_tokens": 3,
                        "output_tokens": 2,
                        "total_tokens": 5,
                        "input_token_details": {"cache_read": 1},
                        "output_token_details": {"reasoning": 1},
                    },
                    "generations": [[{"message": {"kwargs": {"usage_metadata": {}}}}]],
                },
            }
        ],
    },
    "litellm": {
        "id": "c1",
        "call_type": "acompletion",
        "startTime": 1_769_825_640.5,
        "endTime": 1_769_825_641.5,
        "completionStartTime": 1_769_825_641.0,
        "trace_id": "t",
        "session_id": "s",
        "status": "failure",
        "error_str": "e",
        "error_information": {"error_class": "RateLimitError", "error_message": "m"},
        "status_fields": {"guardrail_status": "success"},
        "model": "m",
        "custom_llm_provider": "p",
        "response_cost": 0.1,
        "cache_hit": False,
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "end_user": "u",
        "messages": [{"role": "user", "content": {"a": 1}}],
        "response": {"model": "m", "choices": [{"finish_reason": "length"}]},
        "metadata": {
            "user_api_key_alias": "k",
            "usage_object": {
                "prompt_tokens_details": {"cached_tokens": 1, "cache_creation_token_details": {}},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        },
    },
    "openai-agents": {
        "data": [
            {"object": "trace", "id": "trace_1", "workflow_name": "w", "group_id": "g", "metadata": None},
            {
                "object": "trace.span",
                "id": "span_1",
                "trace_id": "trace_1",
                "parent_id": None,
                "started_at": T,
                "ended_at": T,
                "error": {"message": "Max turns exceeded", "data": {"error": "e"}},
                "span_data": {
                    "type": "generation",
                    "model": "m",
                    "input": [{"a": 1}],
                    "usage": {
                        "input_tokens": 3,
                        "output_tokens": 2,
                        "total_tokens": 5,
                        "input_tokens_details": {"cached_tokens": 1},
                    },
                },
            },
            {
                "object": "trace.span",
                "id": "span_2",
                "trace_id": "trace_1",
                "started_at": T,
                "ended_at": T,
                "span_data": {"type": "function", "name": "f", "input": "{}", "output": "x", "mcp_data": {"a": 1}},
            },
        ]
    },
    "datadog": {
        "_dd.stage": "raw",
        "event_type": "span",
        "spans": [
            {
                "span_id": "11",
                "trace_id": "22",
                "parent_id": "undefined",
                "name": "n",
                "start_ns": 1_769_825_640_000_000_000,
                "duration": 5,
                "status": "error",
                "session_id": "s",
                "tags": ["env:prod", "ml_app:a"],
                "meta": {
                    "span": {"kind": "llm"},
                    "model_name": "m",
                    "input": {"value": {"a": 1}},
                    "error": {"type": "t", "message": "m", "stack": "s"},
                },
                "metrics": {"input_tokens": 3.0, "output_tokens": 2.0, "total_tokens": 5.0, "time_to_first_token": 0.5},
            },
            {
                "name": "t.Bash",
                "service": "s",
                "resource": "t",
                "trace_id": 0,
                "span_id": 1,
                "parent_id": 0,
                "error": 1,
                "meta": {"_dd.llmobs.span_kind": "tool", "error.message": "m"},
                "metrics": {"_dd.llmobs.input_tokens": 1.0},
                "start": 1_769_825_640_000_000_000,
                "duration": 5,
            },
        ],
    },
    "otlp": {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "s"},
                        "spans": [
                            {
                                "traceId": "5b8efff798038103d269b633813fc60c",
                                "spanId": "eee19b7ec3c1b174",
                                "parentSpanId": "eee19b7ec3c1b173",
                                "name": "chat m",
                                "kind": 1,
                                "startTimeUnixNano": "1769825640000000000",
                                "endTimeUnixNano": 1_769_825_641_000_000_000,
                                "attributes": [
                                    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
                                    {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "3"}},
                                    {"key": "gen_ai.response.time_to_first_chunk", "value": {"doubleValue": 0.5}},
                                    {
                                        "key": "gen_ai.output.messages",
                                        "value": {
                                            "stringValue": '[{"parts": [{"type": "reasoning", "content": "h"}]}]'
                                        },
                                    },
                                    {
                                        "key": "gen_ai.response.finish_reasons",
                                        "value": {"arrayValue": {"values": [{"stringValue": "stop"}]}},
                                    },
                                    {
                                        "key": "x",
                                        "value": {
                                            "kvlistValue": {"values": [{"key": "y", "value": {"bytesValue": "aGk="}}]}
                                        },
                                    },
                                    {"key": "plain", "value": {"a": 1}},
                                ],
                                "status": {"code": 2, "message": "m"},
                                "events": [
                                    {
                                        "name": "exception",
                                        "timeUnixNano": "1769825640500000000",
                                        "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}],
                                    },
                                    {
                                        "name": "gen_ai.evaluation.result",
                                        "attributes": [
                                            {"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.5}}
                                        ],
                                    },
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": "1769825640000000000",
                                "severityNumber": "SEVERITY_NUMBER_ERROR",
                                "body": {"stringValue": "claude_code.api_request"},
                                "attributes": [
                                    {"key": "session.id", "value": {"stringValue": "s"}},
                                    {"key": "request_id", "value": {"stringValue": "req_1"}},
                                    {"key": "input_tokens", "value": {"stringValue": "3"}},
                                    {"key": "cost_usd", "value": {"doubleValue": 0.1}},
                                    {"key": "duration_ms", "value": {"intValue": "3"}},
                                ],
                            },
                            {"observedTimeUnixNano": "1769825640000000000", "body": {"kvlistValue": {"values": []}}},
                        ]
                    }
                ]
            }
        ],
    },
    "otel-spans": {
        "spans": [
            {
                "name": "call_llm m",
                "context": {"trace_id": 273475590164507581703505203264503192396, "span_id": 12324293800750531911},
                "parent": {"trace_id": None, "span_id": None},
                "start_time": 1_769_825_640_000_000_000,
                "end_time": "2026-01-31T02:14:00.5Z",
                "status": {"status_code": "StatusCode.ERROR", "description": "d"},
                "attributes": {
                    "gen_ai.operation.name": "call_llm",
                    "gen_ai.usage.input_tokens": 3,
                    "gen_ai.usage.input_cost": 0.1,
                    "x": {"a": 1},
                },
                "events": [{"name": "exception", "timestamp": T, "attributes": {"exception.type": "E"}}],
                "resource": {"attributes": {"service.name": "unknown_service"}},
            },
            {
                "name": "ai.generateText.doGenerate",
                "spanContext": {"traceId": "b3e700af9eab81e19f72f964d62a35af", "spanId": "39d6e9b3ddec9996"},
                "parentSpanContext": {"spanId": "39d6e9b3ddec9995"},
                "startTime": [1_769_825_640, 5],
                "endTime": [1_769_825_641, 0],
                "status": {"code": 0},
                "attributes": {
                    "ai.operationId": "ai.generateText.doGenerate",
                    "ai.usage.promptTokens": 3,
                    "ai.response.msToFirstChunk": 5.5,
                    "ai.prompt.tools": {"values": [{"stringValue": "t"}]},
                },
                "events": [{"name": "e", "time": [1_769_825_640, 5], "attributes": {}}],
            },
        ]
    },
    "agentops": {
        "body": "\u001b[31mred",
        "severity_number": 17,
        "severity_text": "ERROR",
        "attributes": {"x": {"a": 1}, "exception.type": "E"},
        "timestamp": T,
        "observed_timestamp": T,
        "trace_id": "0x5b8efff798038103d269b633813fc60c",
        "span_id": "0x0000000000000000",
        "resource": {"attributes": {"session.id": "s"}},
    },
    "swe-agent": {
        "environment": "e",
        "trajectory": [
            {
                "action": "ls",
                "observation": "x",
                "response": "r",
                "thought": "t",
                "execution_time": 0.5,
                "state": '{"open_file": "n/a"}',
            }
        ],
        "history": [{"role": "system", "content": {"a": 1}}, {"role": "assistant", "content": "x", "is_demo": False}],
        "info": {
            "exit_status": "submitted",
            "submission": "d",
            "model_stats": {"instance_cost": 0.5, "tokens_sent": 3, "tokens_received": 2},
        },
        "replay_config": '{"agent": {"model": {"name": "m"}}}',
    },
    "openhands": {
        "instance_id": "i",
        "error": "e",
        "metadata": {"agent_class": "A", "llm_config": {"model": "m"}},
        "metrics": {
            "costs": [{"cost": 0.1, "timestamp": 1_769_825_640.5}],
            "token_usages": [{"response_id": "c1", "prompt_tokens": 3, "completion_tokens": 2}],
            "response_latencies": [{"response_id": "c1", "latency": 0.5}],
        },
        "history": [
            {
                "id": 0,
                "timestamp": "2026-01-31T02:13:00.5",
                "source": "user",
                "message": "m",
                "action": "message",
                "args": {"content": "c"},
            },
            {
                "id": 1,
                "timestamp": "2026-01-31T02:14:00.5",
                "source": "agent",
                "action": "run",
                "args": {"command": "ls"},
                "tool_call_metadata": {
                    "function_name": "execute_bash",
                    "model_response": {
                        "id": "c1",
                        "created": 1_769_825_640,
                        "model": "m",
                        "choices": [{"finish_reason": "tool_calls", "message": {"content": "x"}}],
                        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
                    },
                },
            },
            {
                "id": 2,
                "timestamp": "2026-01-31T02:14:01.5",
                "source": "agent",
                "cause": 1,
                "observation": "run",
                "content": "x",
                "extras": {"metadata": {"exit_code": 1}},
            },
        ],
    },
    "codex": {
        "timestamp": T,
        "type": "response_item",
        "payload": {
            "type": "function_call",
            "id": "i1",
            "call_id": "c1",
            "name": "shell",
            "namespace": "mcp__x",
            "arguments": {"command": "ls"},
            "function": {"name": "shell"},
        },
    },
    "gemini": {
        "sessionId": "s",
        "projectHash": "p",
        "startTime": T,
        "lastUpdated": T,
        "meta": {"model": "m"},
        "messages": [
            {"id": "u1", "type": "user", "timestamp": T, "content": [{"text": "hi"}]},
            {
                "id": "a1",
                "type": "gemini",
                "timestamp": T,
                "content": "x",
                "model": "m",
                "thoughts": [{"subject": "s", "description": "d", "timestamp": T}],
                "tokens": {"input": 3, "output": 2, "cached": 1, "thoughts": 1, "tool": 0, "total": 6},
                "toolCalls": [
                    {
                        "id": "c1",
                        "name": "run_shell_command",
                        "args": {"command": "ls"},
                        "status": "success",
                        "timestamp": T,
                        "resultDisplay": "a",
                        "result": [{"functionResponse": {"id": "c1", "response": {"output": "Exit Code: 1"}}}],
                    }
                ],
            },
            {"id": "e1", "type": "error", "timestamp": T, "content": "[API Error: x]"},
        ],
    },
    "copilot": {
        "type": "assistant.message",
        "id": "e1",
        "timestamp": T,
        "parentId": None,
        "data": {
            "messageId": "m1",
            "content": "x",
            "reasoningText": "r",
            "model": "m",
            "outputTokens": 3,
            "parentToolCallId": None,
            "toolRequests": [{"toolCallId": "c1", "name": "bash", "arguments": {"command": "ls"}}],
        },
    },
    "opencode": {
        "id": "msg_1",
        "sessionID": "ses_1",
        "role": "assistant",
        "time": {"created": 1_769_825_640_000, "completed": 1_769_825_641_000},
        "parentID": "msg_0",
        "modelID": "m",
        "providerID": "p",
        "model": {"modelID": "m", "providerID": "p"},
        "mode": "build",
        "finish": "stop",
        "cost": 0.5,
        "tokens": {"input": 1, "output": 1, "reasoning": 1, "cache": {"read": 1, "write": 1}, "total": 5},
        "error": {"name": "APIError", "data": {"message": "e"}},
    },
    "claude-agent-sdk": {
        "messages": [
            {
                "direction": "send",
                "message": {"type": "user", "session_id": "default", "message": {"role": "user", "content": "hi"}},
            },
            {
                "direction": "recv",
                "message": {"type": "system", "subtype": "init", "session_id": "s", "model": "m", "uuid": "u0"},
            },
            {
                "direction": "recv",
                "message": {
                    "type": "assistant",
                    "session_id": "s",
                    "parent_tool_use_id": None,
                    "message": {
                        "id": "msg_1",
                        "model": "m",
                        "usage": {"input_tokens": 1, "cache_read_input_tokens": 1},
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "thinking", "thinking": "hm"},
                            {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "ls"}},
                        ],
                    },
                },
            },
            {
                "direction": "recv",
                "message": {
                    "type": "user",
                    "session_id": "s",
                    "timestamp": T,
                    "message": {"content": [{"type": "tool_result", "tool_use_id": "c1", "content": "a"}]},
                },
            },
            {
                "direction": "recv",
                "message": {
                    "type": "result",
                    "subtype": "success",
                    "session_id": "s",
                    "duration_ms": 100,
                    "total_cost_usd": 0.5,
                    "usage": {
                        "input_tokens": 1,
                        "output_tokens": 1,
                        "cache_creation": {"ephemeral_1h_input_tokens": 1},
                    },
                    "modelUsage": {"m": {"inputTokens": 1, "outputTokens": 1, "costUSD": 0.5}},
                },
            },
        ]
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
