"""LiteLLM logs, in the shape of its `StandardLoggingPayload` (litellm 1.109, types/utils.py) and of its spend log.

No recorded log is at hand, so these are built after LiteLLM's own source: the payload as callbacks, S3 and the generic
API write it (one a line, in a list, alone), within a callback's kwargs, and within the proxy's JSON log lines.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.enrich.price import Pricer
from collectors.formats import recognise
from tests.unit.format_documents import document, rows_in
from tests.unit.format_files import lines_from, merged, parse, parts_of, rejected

T0 = 1_769_825_640.25
T0_NS = 1_769_825_640_250_000_000


def payload(own: str = "chatcmpl-1", **fields: Any) -> dict[str, Any]:
    row = {
        "id": own,
        "trace_id": "trace-1",
        "session_id": "",
        "litellm_call_id": f"call-{own}",
        "call_type": "acompletion",
        "stream": False,
        "response_cost": 0.0125,
        "status": "success",
        "status_fields": {"llm_api_status": "success", "guardrail_status": "not_run"},
        "custom_llm_provider": "anthropic",
        "total_tokens": 1120,
        "prompt_tokens": 1000,
        "completion_tokens": 120,
        "startTime": T0,
        "endTime": T0 + 2,
        "completionStartTime": T0 + 2,
        "response_time": 2.0,
        "model": "claude-sonnet-4-5-20250929",
        "model_id": "m1",
        "model_group": "sonnet",
        "api_base": "https://api.anthropic.com",
        "metadata": {
            "user_api_key_alias": "team-key",
            "user_api_key_team_id": "team-1",
            "user_api_key_end_user_id": "customer-9",
            "usage_object": {
                "prompt_tokens": 1000,
                "completion_tokens": 120,
                "total_tokens": 1120,
                "cache_read_input_tokens": 600,
                "cache_creation_input_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 600, "cache_creation_tokens": 300},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
        },
        "cache_hit": False,
        "cache_key": None,
        "request_tags": [],
        "end_user": "",
        "messages": [{"role": "user", "content": "hi"}],
        "response": {"model": "claude-sonnet-4-5-20250929", "choices": [{"finish_reason": "stop"}]},
        "error_str": None,
        "error_information": {"error_code": "", "error_class": "", "error_message": ""},
        "model_parameters": {},
        "hidden_params": {},
    }
    return {**row, **fields}


def one(**fields: Any) -> dict[str, Any]:
    (row,) = rows_in("litellm", payload(**fields)).values()
    return row


def test_a_request() -> None:
    row = one()
    assert (row["kind"], row["status"], row["span_id"], row["namespace"]) == (
        "llm",
        "ok",
        "chatcmpl-1",
        "global:litellm",
    )
    assert (row["session"], row["run_id"]) == ("trace-1", "trace-1")
    assert (row["started_ns"], row["ended_ns"], row["ttft_ns"]) == (T0_NS, T0_NS + 2 * 10**9, None)
    # 1000 of input, 600 read from the cache and 300 written to it: 100 fresh
    assert [row[name] for name in ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m")] == [100, 600, 300]
    assert (row["tokens_output"], row["tokens_reasoning"], row["context_tokens"]) == (120, 20, 1000)
    assert (row["cost_nano"], row["cost_basis"], row["flags"]) == (12_500_000, "reported", None)
    assert (row["user_id"], row["tenant_id"], row["credential_id"]) == ("customer-9", "team-1", "team-key")
    assert (row["model"], row["provider"], row["agent"]) == ("claude-sonnet-4-5-20250929", "anthropic", "litellm")


def test_every_shape_is_the_same_request() -> None:
    own = payload()
    log_line = {
        "level": "INFO",
        "timestamp": "2026-01-31T02:14:00.25",
        "component": "LiteLLM Proxy",
        "logger": "x.py:1",
    }
    shapes: list[object] = [
        own,
        [own],
        {"model": "m", "messages": [], "standard_logging_object": own},
        {"message": json.dumps(own), **log_line},
        {"message": "logged", **log_line, **own},
    ]
    expected = rows_in("litellm", own)
    for shape in shapes:
        for lines in (document(shape), lines_from(shape)):
            found = recognise([line.data for line in lines])
            assert found is not None, shape
            assert found.name == "litellm"
            assert merged(parse("litellm", lines).spans) == expected


def test_the_spend_log_has_other_names() -> None:
    row = {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "api_key": "hash",
        "spend": 0.0125,
        "total_tokens": 1120,
        "prompt_tokens": 1000,
        "completion_tokens": 120,
        "startTime": "2026-01-31T02:14:00.250000Z",
        "endTime": "2026-01-31T02:14:02.250000Z",
        "model": "claude-sonnet-4-5-20250929",
        "custom_llm_provider": "anthropic",
        "user": "u",
        "metadata": json.dumps({"user_api_key_alias": "k", "status": "success"}),
        "cache_hit": "False",
        "session_id": "s",
    }
    (found,) = rows_in("litellm", [row]).values()
    names = ("span_id", "session", "started_ns", "ended_ns", "tokens_input", "cost_nano", "credential_id", "user_id")
    assert [found[name] for name in names] == [
        "chatcmpl-1",
        "s",
        T0_NS,
        T0_NS + 2 * 10**9,
        1000,
        12_500_000,
        "k",
        "u",
    ]


def test_a_proxy_log_is_known_by_its_lines_though_few_are_requests() -> None:
    line = {
        "message": "x",
        "level": "INFO",
        "timestamp": "2026-01-31T02:14:00",
        "component": "LiteLLM",
        "logger": "a:1",
    }
    lines = lines_from(*[line] * 19, {**line, "message": json.dumps(payload())})
    found = recognise([one.data for one in lines])
    assert found is not None
    assert found.name == "litellm"
    parsed = parse("litellm", lines)
    assert not parsed.bad
    assert len(parsed.spans) == 1
    other = {name: value for name, value in line.items() if name not in ("component", "logger")}
    assert recognise([json.dumps(other).encode()] * 5) is None


def test_cache_writes_of_two_lives() -> None:
    usage = {
        "cache_read_input_tokens": 600,
        "cache_creation_input_tokens": 300,
        "prompt_tokens_details": {
            "cached_tokens": 600,
            "cache_creation_token_details": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        },
    }
    row = one(metadata={"usage_object": usage})
    names = ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_cache_write_1h")
    assert [row[name] for name in names] == [100, 600, 100, 200]


def test_a_provider_whose_prompt_tokens_leave_the_cache_out() -> None:
    row = one(prompt_tokens=100)  # its total says so: 100 + 600 + 300 + 120
    assert (row["tokens_input"], row["flags"]) == (100, None)
    odd = one(prompt_tokens=100, total_tokens=5)
    assert (odd["tokens_input"], odd["flags"]) == (100, "total_tokens")


@pytest.mark.parametrize(
    ("fields", "nano", "basis"),
    [
        ({"response_cost": 0.0125}, 12_500_000, "reported"),
        ({"response_cost": 0.0}, None, None),  # 0 is what it writes for a model without a price
        ({"response_cost": 0.0, "cache_hit": True}, 0, "reported"),
        ({"response_cost": None}, None, None),
        ({"response_cost": "a lot"}, None, None),
        ({"response_cost": -1}, None, None),
    ],
)
def test_cost(fields: dict[str, Any], nano: int | None, basis: str | None) -> None:
    row = one(**fields)
    assert (row["cost_nano"], row["cost_basis"]) == (nano, basis)
    (span,) = parse("litellm", document(payload(**fields))).spans
    Pricer().price([span])
    assert span.cost_basis == (basis or "computed")


def test_how_requests_end() -> None:
    error = {"error_class": "RateLimitError", "error_code": "429", "error_message": "slow down"}
    row = one(status="failure", error_str="Exception: slow down", error_information=error, response_cost=0)
    assert (row["status"], row["error_type"], row["error_message"]) == ("error", "RateLimitError", "slow down")
    assert one(status="failure", error_str="boom", error_information=None)["error_message"] == "boom"
    blocked = one(status="failure", status_fields={"guardrail_status": "guardrail_intervened"})
    assert blocked["status"] == "refused"
    for reason, status in (("length", "capped"), ("content_filter", "refused"), ("tool_calls", "ok")):
        assert one(response={"choices": [{"finish_reason": reason}]})["status"] == status
    assert one(stream=True, completionStartTime=T0 + 0.5)["ttft_ns"] == 500_000_000


def test_sessions_and_retries() -> None:
    first = payload("c1", status="failure", response_cost=0)
    rows = rows_in("litellm", [first, payload("c2")])  # a fallback keeps the trace id
    assert {row["run_id"] for row in rows.values()} == {"trace-1"}
    assert one(session_id="talk")["session"] == "talk"
    assert one(session_id=None, trace_id=None)["session"] == "chatcmpl-1"


def test_a_tool_call_through_the_gateway() -> None:
    call = {"name": "find", "arguments": {"q": 1}, "result": {"hits": 2}, "mcp_server_name": "crm"}
    parsed = parse("litellm", document(payload(call_type="call_mcp_tool", metadata={"mcp_tool_call_metadata": call})))
    (row,) = merged(parsed.spans).values()
    assert (row["kind"], row["tool"], row["tokens_input"]) == ("tool", "mcp__crm__find", None)
    (parts,) = parts_of(parsed.spans).values()
    assert parts == {"input": '{"q":1}', "output": '{"hits":2}'}


def test_bad_requests_cost_the_others_nothing() -> None:
    parsed = parse(
        "litellm", document([payload("a"), {"x": 1}, payload("b", startTime="x", endTime=None), payload("c")])
    )
    assert {span.span_id for span in parsed.spans} == {"a", "c"}
    assert rejected(parsed) == ["2 of its 4 items: no time that can be read"]


def test_the_same_line_twice_is_one_request() -> None:
    assert len(merged(parse("litellm", lines_from(payload(), payload())).spans)) == 1
