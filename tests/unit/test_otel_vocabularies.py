"""Each vocabulary as its instrumentations write it, and what of it counts once. Claude Code's has a file of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collectors.formats.decode import UnreadableError
from collectors.formats.otel.records import spans_of, spans_of_log, vocabulary_of
from collectors.formats.otel.span import ERROR, OK, UNSET, OtelEvent, OtelLog, OtelSpan
from store.record.span import NS_PER_S, Rank, Span
from tests.unit.format_documents import files_of, loaded
from tests.unit.format_files import needs_data

T0 = 1_769_825_640 * NS_PER_S
TRACE = "5b8efff798038103d269b633813fc60c"
PARENT = "eee19b7ec3c1b173"


def otel(attributes: dict[str, Any] | None = None, **fields: Any) -> OtelSpan:
    given = {
        "trace_id": TRACE,
        "span_id": "eee19b7ec3c1b174",
        "parent_id": PARENT,
        "name": "op",
        "started_ns": T0,
        "ended_ns": T0 + NS_PER_S,
        "attributes": attributes or {},
        **fields,
    }
    return OtelSpan(**given)


def read(attributes: dict[str, Any] | None = None, **fields: Any) -> Span:
    return spans_of(otel(attributes, **fields), agent=None, format_name="otlp")[0]


def tokens(span: Span) -> tuple[int | None, ...]:
    """Fresh input, cache read, cache write (5 min, 1 h), output, reasoning."""
    return (
        span.tokens_input,
        span.tokens_cache_read,
        span.tokens_cache_write_5m,
        span.tokens_cache_write_1h,
        span.tokens_output,
        span.tokens_reasoning,
    )


def details(span: Span) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(span.parts.get("attributes", "{}"))
    return found


# --- what is so whatever the vocabulary


def test_keys_sessions_and_runs() -> None:
    span = read({"gen_ai.conversation.id": "c-1", "user.id": "u"}, resource={"service.name": "bot", "host.name": "h"})
    assert (span.namespace, span.span_id, span.parent_id) == (f"trace:{TRACE}", "eee19b7ec3c1b174", PARENT)
    assert (span.session, span.run_id, span.agent, span.host, span.user_id) == ("c-1", TRACE, "bot", "h", "u")
    alone = read(parent_id="")
    assert (alone.session, alone.run_id, alone.agent, alone.parent_id) == (TRACE, TRACE, "otlp", None)
    of_resource = read(resource={"session.id": "r-1", "tenant.id": "t", "deployment.environment.name": "prod"})
    assert (of_resource.session, of_resource.tenant_id, of_resource.environment) == ("r-1", "t", "prod")
    assert read({"user.id": 17}).user_id == "17"  # a number is a name, too


def test_whose_agent_it_is() -> None:
    named = {"gen_ai.agent.name": "Triage", "gen_ai.operation.name": "invoke_agent"}
    assert read(named, resource={"service.name": "bot"}).agent == "bot"  # all of its spans are of one agent
    assert read(named, resource={"service.name": "unknown_service:python3"}).agent == "Triage"
    (span,) = spans_of(otel(named, resource={"service.name": "bot"}), agent="configured", format_name="otlp")
    assert (span.agent, span.name) == ("configured", "Triage")


def test_a_span_without_ids_is_known_by_what_it_says() -> None:
    one, again = read(trace_id="", span_id=""), read(trace_id="", span_id="")
    other = read({"a": 1}, trace_id="", span_id="")
    assert one.span_id == again.span_id != other.span_id
    assert (one.namespace, one.session, one.run_id) == ("trace:", None, None)
    assert len(one.span_id) == 32


def test_times_that_are_missing_or_turned_around() -> None:
    started = read(ended_ns=None)
    assert (started.rank, started.status, started.ended_ns) == (Rank.STARTED, None, None)
    assert (read(started_ns=None).started_ns, read(started_ns=None).status) == (None, "ok")
    turned = read(ended_ns=T0 - 5)
    assert (turned.ended_ns, turned.flags) == (T0, "end")
    with pytest.raises(UnreadableError, match="no time"):
        read(started_ns=None, ended_ns=None)


def test_how_a_span_ends() -> None:
    thrown = OtelEvent(
        "exception",
        T0,
        {"exception.type": "ValueError", "exception.message": "bad \x1b[31m", "exception.stacktrace": "Traceback"},
    )
    assert [read(status=one).status for one in (UNSET, OK)] == ["ok", "ok"]
    failed = read(status=ERROR, status_message="from the status", events=[thrown])
    assert (failed.status, failed.error_type, failed.error_message) == ("error", "ValueError", "bad \x1b[31m")
    assert failed.parts["error"] == "Traceback"
    plain = read(status=ERROR, status_message="boom")
    assert (plain.status, plain.error_type, plain.error_message) == ("error", "error", "boom")
    assert read(status=OK, events=[thrown]).status == "ok"  # it was caught
    assert read({"error.type": "timeout"}).error_type == "timeout"
    assert read({"error.type": "asyncio.exceptions.CancelledError"}, status=ERROR).status == "cancelled"
    assert len(read(status=ERROR, status_message="x" * 9000).error_message or "") == 2001


def test_a_span_of_no_vocabulary_is_the_run_at_the_root_and_a_step_within() -> None:
    root, step = read({"http.method": "GET"}, parent_id=""), read({"http.method": "GET", "input.value": "in"})
    assert (root.kind, step.kind, step.tool) == ("run", None, None)
    assert (details(root), step.parts["input"]) == ({"http.method": "GET"}, "in")
    assert read(parent_id="", flags={"parent_id"}).kind is None  # its parent could not be read: it is no root


def test_an_effect_that_the_writer_reports() -> None:
    span = read(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "refund",
            "andon.effect.system": "billing",
            "andon.effect.operation": "refund",
            "andon.effect.resource": "order/3",
            "andon.effect.status": "confirmed",
            "andon.effect.reversible": "false",
            "andon.effect.idempotency_key": "k-1",
            "andon.effect.external_id": "re_1",
        }
    )
    assert (span.effect_system, span.effect_status, span.effect_reversible) == ("billing", "confirmed", "no")
    assert (span.effect_idempotency_key, span.effect_external_id, span.effect_basis) == ("k-1", "re_1", "reported")
    assert read({"andon.effect.status": "perhaps"}).effect_status == "unknown"


def test_evaluations_are_rows_of_their_own() -> None:
    score = {
        "gen_ai.evaluation.name": "relevance",
        "gen_ai.evaluation.score.value": 0.75,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.evaluation.explanation": "close",
    }
    event = OtelEvent("gen_ai.evaluation.result", T0 + 5, score)
    span, row = spans_of(otel({"gen_ai.operation.name": "chat"}, events=[event]), agent=None, format_name="otlp")
    assert (row.parent_id, row.score_name, row.score_value, row.score_label) == (
        span.span_id,
        "relevance",
        0.75,
        "pass",
    )
    assert (row.ended_ns, row.session, row.kind) == (T0 + 5, TRACE, None)
    log = OtelLog(at_ns=T0, event_name="gen_ai.evaluation.result", trace_id=TRACE, span_id=PARENT, attributes=score)
    (row,) = spans_of_log(log, agent=None, format_name="otlp")
    assert (row.parent_id, row.score_value, row.parts["output"]) == (PARENT, 0.75, "close")
    nan = OtelLog(at_ns=T0, event_name="gen_ai.evaluation.result", attributes={"gen_ai.evaluation.score.value": "nan"})
    assert spans_of_log(nan, agent=None, format_name="otlp")[0].score_value is None


def test_a_log_record_is_a_step_of_its_moment() -> None:
    log = OtelLog(at_ns=T0, body={"k": [1]}, severity=9, trace_id=TRACE, span_id=PARENT, attributes={"a": 1})
    (row,) = spans_of_log(log, agent=None, format_name="otlp")
    assert (row.kind, row.name, row.status, row.started_ns, row.ended_ns) == (None, "log", "ok", T0, T0)
    assert (row.parent_id, row.parts) == (PARENT, {"output": '{"k":[1]}', "attributes": '{"a":1}'})
    (error,) = spans_of_log(OtelLog(at_ns=T0, body="boom", severity=17), agent=None, format_name="otlp")
    assert (error.status, error.error_type, error.error_message) == ("error", "error", "boom")
    assert error.span_id != row.span_id
    with pytest.raises(UnreadableError, match="no time"):
        spans_of_log(OtelLog(body="x"), agent=None, format_name="otlp")


# --- GenAI

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 30,
    "gen_ai.usage.cache_read.input_tokens": 60,
    "gen_ai.usage.cache_creation.input_tokens": 10,
    "gen_ai.usage.reasoning.output_tokens": 12,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.response.time_to_first_chunk": 0.25,
    "gen_ai.system_instructions": [{"type": "text", "content": "Be brief."}],
    "gen_ai.tool.definitions": '[{"name": "f"}]',
    "gen_ai.prompt.version": "3",
    "gen_ai.input.messages": '[{"role":"user","parts":[]}]',
    "gen_ai.output.messages": '[{"role":"assistant","parts":[{"type":"reasoning","content":"hm"},{"type":"text"}]}]',
    "gen_ai.request.temperature": 0.5,
}


def test_genai_model_call() -> None:
    span, thought = spans_of(otel(CHAT), agent=None, format_name="otlp")
    assert span.kind == "llm"
    assert tokens(span) == (30, 60, 10, None, 30, 12)  # the input includes what the cache took
    assert span.context_tokens == 100
    assert (span.model, span.model_served, span.provider) == ("gpt-4o", "gpt-4o-2024-08-06", "openai")
    assert (span.status, span.ttft_ns, span.cost_nano, span.flags) == ("ok", 250_000_000, None, None)
    assert span.prompt_hash
    assert span.tools_hash
    assert span.prompt_version == "3"
    assert (span.parts["input"], details(span)) == (CHAT["gen_ai.input.messages"], {"gen_ai.request.temperature": 0.5})
    assert (thought.kind, thought.parent_id, thought.parts) == ("reasoning", span.span_id, {"output": "hm"})
    assert read({**CHAT, "gen_ai.system_instructions": "Be long."}).prompt_hash != span.prompt_hash


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("chat", "llm"), ("generate_content", "llm"), ("text_completion", "llm"), ("embeddings", "llm"),
        ("call_llm", "llm"), ("llm_call", "llm"), ("execute_tool", "tool"), ("retrieval", "tool"),
        ("search_memory", "tool"), ("delete_memory_store", "tool"), ("invoke_agent", "run"), ("create_agent", "run"),
        ("invoke_workflow", "run"), ("plan", "reasoning"), ("fetch_response", None), ("agent_step", None),
        ("brand_new", None),
    ],
)  # fmt: skip
def test_genai_operations(operation: str, kind: str | None) -> None:
    assert read({"gen_ai.operation.name": operation}).kind == kind


def test_genai_wrappers_and_answers_read_again_count_nothing() -> None:
    older = {name: one for name, one in CHAT.items() if name != "gen_ai.operation.name"}
    assert read(older).kind == "llm"
    assert read({**older, "agent_name": "of Pydantic AI"}).kind == "run"
    for operation in ("invoke_agent", "invoke_workflow", "fetch_response", "agent_step"):
        span = read({**CHAT, "gen_ai.operation.name": operation})
        assert tokens(span) == (None,) * 6
        assert details(span)["gen_ai.usage.input_tokens"] == 100  # it stays with the payload


def test_genai_of_before() -> None:
    span = read(
        {
            "gen_ai.system": "anthropic",
            "gen_ai.request.model": "claude-3-opus",
            "gen_ai.usage.prompt_tokens": "97",
            "gen_ai.usage.completion_tokens": 52,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "Be brief.",
            "gen_ai.prompt.1.content": "Weather?",
            "gen_ai.completion.0.content": "Rain.",
            "gen_ai.completion.0.finish_reason": "length",
        }
    )
    assert (span.kind, span.provider, span.status, span.error_type) == ("llm", "anthropic", "capped", "length")
    assert tokens(span) == (97, None, None, None, 52, None)  # one of its counts came as text
    assert json.loads(span.parts["input"])[1] == {"content": "Weather?"}
    assert json.loads(span.parts["output"])[0]["content"] == "Rain."
    assert span.prompt_hash
    assert not details(span)
    events = [
        OtelEvent("gen_ai.content.prompt", T0, {"gen_ai.prompt": "Weather?"}),
        OtelEvent("gen_ai.content.completion", T0, {"gen_ai.completion": "Rain."}),
        OtelEvent("note", T0, {"a": 1}),
    ]
    span = read({"gen_ai.system": "openai", "gen_ai.request.model": "m"}, events=events)
    assert (span.parts["input"], span.parts["output"]) == ("Weather?", "Rain.")
    assert json.loads(span.parts["events"]) == [{"name": "note", "time": T0, "attributes": {"a": 1}}]


def test_old_and_new_names_of_a_count_are_one_count() -> None:
    both = {"gen_ai.usage.input_tokens": 97, "gen_ai.usage.prompt_tokens": 97, "gen_ai.usage.output_tokens": 5}
    assert tokens(read({"gen_ai.system": "openai", **both})) == (97, None, None, None, 5, None)


@pytest.mark.parametrize(
    ("changed", "fresh", "flags"),
    [
        ({"gen_ai.usage.cache_read.input_tokens": 200}, 100, "total_tokens"),  # more than the input: kept, uncertain
        ({"gen_ai.usage.input_tokens": "many"}, None, "tokens.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.input_tokens": -3}, None, "tokens.gen_ai.usage.input_tokens"),
        ({"gen_ai.usage.total_tokens": 999}, 30, "total_tokens"),
        ({"gen_ai.usage.total_tokens": 130}, 30, None),
    ],
)
def test_counts_that_do_not_add_up_are_flagged(changed: dict[str, Any], fresh: int | None, flags: str | None) -> None:
    span = read({**CHAT, **changed})
    assert (span.tokens_input, span.flags) == (fresh, flags)


@pytest.mark.parametrize(
    ("reasons", "status"),
    [
        (["stop"], "ok"), (["tool_calls"], "ok"), (["length"], "capped"), ("max_tokens", "capped"),
        ('["content_filter"]', "refused"), (["stop", "length"], "capped"), (["SAFETY"], "refused"),
        (["error"], "error"),
        ([], "ok"), (7, "ok"), ([[]], "ok"), ("[broken", "ok"),
    ],
)  # fmt: skip
def test_why_the_model_stopped(reasons: object, status: str) -> None:
    assert read({**CHAT, "gen_ai.response.finish_reasons": reasons}).status == status


def test_why_the_agent_stopped() -> None:
    run = {"gen_ai.operation.name": "invoke_agent"}
    assert read({**run, "gen_ai.agent.finish_reason": "max_iterations"}).status == "capped"
    assert read({**run, "gen_ai.agent.finish_reason": "guardrail"}).status == "refused"
    assert read({**run, "gen_ai.agent.finish_reason": "completed"}).status == "ok"


def test_genai_tool_call() -> None:
    span = read(
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.id": "1234",
            "gen_ai.tool.call.arguments": {"city": "Paris"},
            "gen_ai.tool.call.result": "rain",
        },
        status=ERROR,
        status_message="down",
    )
    assert (span.kind, span.tool, span.name, span.status) == ("tool", "get_weather", "get_weather", "error")
    assert span.parts == {"input": '{"city":"Paris"}', "output": "rain"}


def test_cost_that_a_single_writer_adds() -> None:
    parts = {"gen_ai.usage.input_cost": 6.769999999999999e-05, "gen_ai.usage.output_cost": 4.8e-06}
    span = read({**CHAT, **parts})
    assert (span.cost_nano, span.cost_basis) == (72_500, "reported")
    assert read({**CHAT, "gen_ai.usage.cost": 0.5, **parts}).cost_nano == 500_000_000
    bad = read({**CHAT, "gen_ai.usage.cost": "free"})
    assert (bad.cost_nano, bad.flags) == (None, "cost")


def genai_files() -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in files_of("otel-span-json", "otel_genai_*_tool_calls.json")]


@needs_data
@pytest.mark.parametrize("path", genai_files())
def test_genai_attributes_of_a_real_client(path: Any) -> None:
    raw = loaded(path)
    span = read(raw)
    assert tokens(span) == (97, None, None, None, 52, None)
    assert (span.model, span.model_served, span.provider) == ("gpt-4", "gpt-4-0613", "openai")
    assert "Weather in Paris?" in span.parts["input"]
    assert "57°F" in span.parts["output"]


# --- OpenInference

LLM = {
    "openinference.span.kind": "LLM",
    "llm.model_name": "o1-2024-12-17",
    "llm.provider": "openai",
    "llm.token_count.prompt": 3841,
    "llm.token_count.completion": 1896,
    "llm.token_count.total": 5737,
    "llm.token_count.prompt_details.cache_read": 2816,
    "llm.token_count.completion_details.reasoning": 1024,
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be brief.",
    "llm.input_messages.10.message.content": "last",
    "llm.input_messages.2.message.content": "third",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
    "llm.tools.0.tool.json_schema": '{"name": "search"}',
    "session.id": "s-1",
}


def test_openinference_model_call() -> None:
    span = read({**LLM, "llm.cost.prompt": 0.25, "llm.cost.completion": 0.5, "llm.prompt_template.version": "v2"})
    assert (span.kind, span.session, span.model, span.provider) == ("llm", "s-1", "o1-2024-12-17", "openai")
    assert tokens(span) == (1025, 2816, None, None, 1896, 1024)
    assert (span.cost_nano, span.cost_basis, span.prompt_version) == (750_000_000, "reported", "v2")
    assert json.loads(span.parts["input"]) == [
        {"role": "system", "content": "Be brief."},
        {"content": "third"},
        {"content": "last"},
    ]  # put together from the flattened list, in the order of its numbers
    assert "search" in span.parts["output"]
    assert span.prompt_hash
    assert span.tools_hash
    assert not details(span)
    assert read({**LLM, "llm.cost.total": 2, "llm.cost.prompt": 1}).cost_nano == 2_000_000_000
    whole = read({**LLM, "input.value": "IN", "output.value": "OUT"})
    assert whole.parts == {"input": "IN", "output": "OUT"}


@pytest.mark.parametrize(
    ("stated", "within", "at_the_root"),
    [
        ("LLM", "llm", "llm"), ("EMBEDDING", "llm", "llm"), ("TOOL", "tool", "tool"), ("RETRIEVER", "tool", "tool"),
        ("AGENT", "run", "run"), ("CHAIN", None, "run"), ("GUARDRAIL", None, "run"), ("UNKNOWN", None, "run"),
        ("Tool", "tool", "tool"), ("new", None, "run"),
    ],
)  # fmt: skip
def test_openinference_kinds(stated: str, within: str | None, at_the_root: str) -> None:
    attributes = {"openinference.span.kind": stated, "tool.name": "t"}
    assert read(attributes).kind == within
    assert read(attributes, parent_id="").kind == at_the_root


def test_openinference_sums_on_agents_and_chains_are_not_counted() -> None:
    for kind in ("AGENT", "CHAIN"):
        span = read({**LLM, "openinference.span.kind": kind, "llm.cost.total": 1.0})
        assert tokens(span) == (None,) * 6
        assert span.cost_nano is None


def test_openinference_where_the_input_does_not_hold_the_cache() -> None:
    """Emitters for Bedrock were seen that leave cached tokens out of the prompt's."""
    span = read({**LLM, "llm.token_count.prompt": 3, "llm.token_count.total": 1899})
    assert (span.tokens_input, span.tokens_cache_read, span.flags) == (3, 2816, "total_tokens")
    apart = read({**LLM, "llm.token_count.prompt": 5000, "llm.token_count.total": 5000 + 2816 + 1896})
    assert (apart.tokens_input, apart.flags) == (5000, None)  # here its own total shows it


def test_openinference_tool_retriever_and_stream() -> None:
    tool = read({"openinference.span.kind": "TOOL", "tool.name": "search", "tool.parameters": '{"q":1}'})
    assert (tool.tool, tool.parts["input"]) == ("search", '{"q":1}')
    documents = {"retrieval.documents.0.document.content": "text", "retrieval.documents.0.document.score": 0.5}
    found = read({"openinference.span.kind": "RETRIEVER", **documents}, name="vectors")
    assert (found.tool, "text" in found.parts["output"]) == ("vectors", True)
    streamed = read(LLM, events=[OtelEvent("First Token Stream Event", T0 + 5), OtelEvent("First Token Stream Event")])
    assert streamed.ttft_ns == 5
    tenant = read({**LLM, "metadata": '{"tenant_id": "acme"}'})
    assert tenant.tenant_id == "acme"
    scored = read({"openinference.span.kind": "EVALUATOR", "evaluation.name": "qa", "evaluation.score": "0.5"})
    assert (scored.score_name, scored.score_value) == ("qa", 0.5)


@needs_data
def test_openinference_attributes_of_a_real_client() -> None:
    for path in files_of("otel-span-json", "openinference_client_span_*.json"):
        span = read(loaded(path))
        assert tokens(span) == (97, None, None, None, 52, None)
        assert (span.kind, span.model) == ("llm", "gpt-4-0613")


# --- OpenLLMetry


def test_openllmetry_steps() -> None:
    flow = {"traceloop.span.kind": "workflow", "traceloop.entity.name": "joke", "traceloop.entity.input": "{}"}
    root, nested = read(flow, parent_id=""), read(flow)
    assert (root.kind, root.name, root.parts["input"], nested.kind) == ("run", "joke", "{}", None)
    assert read({"traceloop.span.kind": "task"}).kind is None
    assert read({"traceloop.span.kind": "agent"}).kind == "run"
    tool = read({"traceloop.span.kind": "tool", "traceloop.entity.name": "search", "traceloop.entity.output": "[]"})
    assert (tool.kind, tool.tool, tool.parts["output"]) == ("tool", "search", "[]")
    people = {
        "traceloop.association.properties.session_id": "s",
        "traceloop.association.properties.user_id": "u",
        "traceloop.association.properties.tenant_id": "t",
    }
    span = read({**flow, **people})
    assert (span.session, span.user_id, span.tenant_id) == ("s", "u", "t")
    call = read(
        {"mcp.method.name": "tools/call", "mcp.request.argument": "{}", "mcp.response.value": "r"}, name="f.tool"
    )
    assert (call.kind, call.tool, call.parts) == (
        "tool",
        "f.tool",
        {"input": "{}", "output": "r", "attributes": '{"mcp.method.name":"tools/call"}'},
    )
    assert read({"mcp.method.name": "tools/list"}).kind is None


def test_openllmetry_model_call() -> None:
    span = read(
        {
            "llm.request.type": "chat",
            "gen_ai.system": "Anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.usage.prompt_tokens": 100,
            "gen_ai.usage.completion_tokens": 20,
            "gen_ai.usage.cache_read_input_tokens": 40,
            "gen_ai.usage.cache_creation_input_tokens": 50,
            "llm.usage.total_tokens": 120,
            "gen_ai.prompt.0.role": "system",
            "gen_ai.prompt.0.content": "x",
            "llm.request.functions.0.name": "f",
            "traceloop.prompt.version": 7,
            "traceloop.prompt.version_hash": "abc",
        }
    )
    assert span.kind == "llm"
    assert tokens(span) == (10, 40, 50, None, 20, None)
    assert (span.flags, span.prompt_hash, span.prompt_version) == (None, "abc", "7")
    assert span.tools_hash
    assert "gen_ai.prompt" not in span.parts.get("attributes", "")
    assert read({"llm.request.type": "completion"}).kind == "llm"


# --- Vercel


def test_vercel_counts_the_inner_call_only() -> None:
    usage = {"ai.usage.promptTokens": 14, "ai.usage.completionTokens": 20}
    wrapper = read({"ai.operationId": "ai.generateText", "ai.telemetry.functionId": "haiku", **usage}, parent_id="")
    call = read(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.model.id": "gpt-4o-mini",
            "ai.response.model": "gpt-4o-mini-2024-07-18",
            "ai.model.provider": "openai.responses",
            "ai.response.finishReason": "length",
            **usage,
            "gen_ai.usage.input_tokens": 14,
            "gen_ai.usage.output_tokens": 20,
        }
    )
    assert (wrapper.kind, wrapper.name, tokens(wrapper)) == ("run", "haiku", (None,) * 6)
    assert tokens(call) == (14, None, None, None, 20, None)
    assert (call.model, call.model_served, call.provider) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "openai")
    assert call.status == "capped"
    assert read({"ai.operationId": "ai.generateText", **usage}).kind is None


@pytest.mark.parametrize(
    "names",
    [
        ("ai.usage.promptTokens", "ai.usage.completionTokens"),
        ("ai.usage.inputTokens", "ai.usage.outputTokens"),
        ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"),
    ],
)
def test_vercel_names_of_counts(names: tuple[str, str]) -> None:
    span = read({"ai.operationId": "ai.streamText.doStream", names[0]: 15, names[1]: 112})
    assert tokens(span) == (15, None, None, None, 112, None)


def test_vercel_tool_embedding_and_cache() -> None:
    tool = read(
        {
            "ai.operationId": "ai.toolCall",
            "ai.toolCall.name": "weather",
            "ai.toolCall.args": '{"city":"Paris"}',
            "ai.toolCall.result": '"rain"',
        }
    )
    assert (tool.kind, tool.tool) == ("tool", "weather")
    assert tool.parts == {"input": '{"city":"Paris"}', "output": '"rain"'}
    embed = read({"ai.operationId": "ai.embed.doEmbed", "ai.usage.tokens": 10, "ai.embeddings": ["[0.1]"]})
    assert (tokens(embed), embed.parts) == ((10, None, None, None, 0, None), {})
    cached = {
        "ai.operationId": "ai.streamText.doStream",
        "ai.usage.inputTokens": 12632,
        "ai.usage.inputTokenDetails.noCacheTokens": 3,
        "ai.usage.inputTokenDetails.cacheReadTokens": 0,
        "ai.usage.inputTokenDetails.cacheWriteTokens": 12629,
        "ai.usage.outputTokens": 13,
        "ai.usage.totalTokens": 12645,
        "ai.response.msToFirstChunk": 426.5,
    }
    assert tokens(read(cached)) == (3, 0, 12629, None, 13, None)
    assert read(cached).ttft_ns == 426_500_000
    split = {"ephemeral_5m_input_tokens": 12000, "ephemeral_1h_input_tokens": 629}
    metadata = json.dumps({"anthropic": {"usage": {"cache_creation": split}}})
    assert tokens(read({**cached, "ai.response.providerMetadata": metadata})) == (3, 0, 12000, 629, 13, None)
    off = read({**cached, "ai.usage.inputTokenDetails.noCacheTokens": 99})
    assert off.flags == "total_tokens"


# --- which of them


def test_the_vocabulary_that_tells_most_is_taken() -> None:
    def name(attributes: dict[str, Any], **fields: Any) -> str:
        return vocabulary_of(otel(attributes, **fields)).read.__module__.rpartition(".")[2]

    assert name({}) == name({"http.method": "GET"}) == "generic"
    assert name({"gen_ai.system": "x"}) == "genai"
    assert name({"gen_ai.system": "x", "llm.request.type": "chat"}) == "openllmetry"
    assert name({"gen_ai.system": "x", "traceloop.span.kind": "task"}) == "openllmetry"
    assert name({"gen_ai.system": "x", "openinference.span.kind": "LLM"}) == "openinference"
    assert name({"openinference.span.kind": "AGENT", "ai.operationId": "ai.generateText"}) == "vercel"
    assert name({"gen_ai.system": "x"}, name="claude_code.llm_request") == "claude_code"
