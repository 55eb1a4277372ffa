"""Your own JSON: what a mapping takes from a record, what it says of the rest, and what is wrong with a mapping."""

from __future__ import annotations

import json
import pickle
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from collectors.collect import Collector
from collectors.declared import CollectError, Declarations, Declared
from collectors.formats.base import Line, Parsed, SourceFacts
from collectors.formats.own_json import OwnJson
from collectors.formats.own_mapping import MappingError, OwnMapping, field_names, own_mapping
from collectors.formats.own_paths import MISSING, at_path, break_of, parse_path, path_text, without
from store.folder import StoreFolder
from store.record.span import Rank, Span
from store.registry.config import Config
from store.registry.model import Registry
from tests.fault.feeding import append, ask
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value
from tests.unit.format_files import PI_FILE, lines_from, lines_of, needs_data, parse, rejected

ROOT = Path(__file__).resolve().parents[2]
AT_NS = 1_769_825_640_000_000_000  # 2026-01-31T02:14:00Z
BASE: dict[str, Any] = {"session_id": "conv", "kind": "event", "time": "ts"}
ROW: dict[str, Any] = {"conv": "c1", "event": "llm", "ts": "2026-01-31T02:14:00Z"}


def mapped(fields: dict[str, Any] | None = None, **more: Any) -> OwnMapping:
    return own_mapping(BASE | (fields or {}), **more)


def read(mapping: OwnMapping, *rows: object, agent: str | None = None) -> Parsed:
    return OwnJson(mapping).parser(SourceFacts("s", "/x.jsonl", agent)).parse(lines_from(*rows))


def one(fields: dict[str, Any], row: dict[str, Any], **more: Any) -> Span:
    parsed = read(mapped(fields, **more), ROW | row)
    assert not parsed.bad, rejected(parsed)
    (span,) = parsed.spans
    return span


def at_ns_of(value: object, **more: Any) -> int | None:
    parsed = read(mapped(None, **more), ROW | {"ts": value})
    return parsed.spans[0].ended_ns if parsed.spans else None


def test_every_field_of_the_design_can_be_mapped_and_arrives_as_in_andon_ndjson() -> None:
    """The same record once as Andon NDJSON, once nested under `deep` and mapped field by field."""
    line: dict[str, Any] = {
        "session_id": "s",
        "kind": "tool",
        "run_id": "r",
        "span_id": "x",
        "parent_id": "p",
        "agent": "a",
        "agent_version": "2",
        "environment": "prod",
        "host": "h",
        "user_id": "u",
        "tenant_id": "t",
        "credential_id": "c",
        "time": "2026-01-31T02:14:00.123Z",
        "started_at": "2026-01-31T02:13:59Z",
        "ended_at": "2026-01-31T02:14:01Z",
        "duration_ms": 1.5,
        "ttft_ms": 3,
        "wait": {"human_ms": 4, "queue_ms": 5},
        "status": "error",
        "error_type": "timeout",
        "error_message": "late",
        "model": "m",
        "model_served": "m1",
        "provider": "p",
        "tokens": {
            "input": 1,
            "cache_read": 2,
            "cache_write_5m": 3,
            "cache_write_1h": 4,
            "output": 5,
            "reasoning": 1,
        },
        "cost_usd": 0.25,
        "tool": {"name": "n", "call_id": "k", "args": {"q": [1]}, "result": "none"},
        "effect": {
            "system": "crm",
            "operation": "o",
            "resource": "r",
            "status": "sent",
            "idempotency_key": "i",
            "external_id": "e",
            "reversible": True,
        },
        "prompt_hash": "ph",
        "prompt_version": "pv",
        "tools_hash": "th",
        "retry_of": "ro",
        "attempt": 2,
        "context_tokens": 100,
        "context_limit": 200,
        "score": {"name": "n", "value": 0.5, "label": "l"},
        "guard": {"instance": "g", "action": 7},
        "input": {"a": 1},
        "output": "said",
    }
    names = field_names()
    flat = {name for name in names if "." not in name} | {name.partition(".")[0] for name in names}
    assert flat == line.keys(), "a field of Andon NDJSON is not in this test"
    mapping = own_mapping({name: f"deep.{name}" for name in names})
    (theirs,) = read(mapping, {"deep": line}, agent="x").spans
    (ours,) = parse("andon", lines_from(line)).spans
    theirs.format = ours.format
    assert theirs == ours


def test_times_by_the_format_that_is_said() -> None:
    for value, form in (
        ("2026-01-31T02:14:00Z", ""),
        (AT_NS // 10**9, ""),
        (AT_NS // 10**6, ""),
        (str(AT_NS // 10**6), ""),
        ("2026-01-31T03:14:00+01:00", "iso"),
        (1_769_825_640, "s"),
        ("1769825640.0", "s"),
        (1_769_825_640_000.0, "ms"),
        (AT_NS // 1000, "us"),
        (AT_NS, "ns"),
        (str(AT_NS), "ns"),
        ("31/Jan/2026:02:14:00 +0000", "%d/%b/%Y:%H:%M:%S %z"),
        ("2026-01-31 02:14:00", "%Y-%m-%d %H:%M:%S"),
    ):
        assert at_ns_of(value, time_format=form) == AT_NS, (value, form)


def test_a_time_that_names_no_zone_is_of_the_zone_that_is_said() -> None:
    hour = 3600 * 10**9
    for text, form in (("2026-01-31T02:14:00", ""), ("2026-01-31 02:14:00", "%Y-%m-%d %H:%M:%S")):
        assert at_ns_of(text, time_format=form) == AT_NS
        assert at_ns_of(text, time_format=form, time_zone="Europe/Vienna") == AT_NS - hour
    # summer time, and a time that names its own zone
    assert at_ns_of("2026-07-31T02:14:00", time_zone="Europe/Vienna") == at_ns_of("2026-07-31T00:14:00Z")
    assert at_ns_of("2026-01-31T02:14:00Z", time_zone="Europe/Vienna") == AT_NS


@pytest.mark.parametrize("value", ["soon", -5, 7, 1e300, True, [], {}, "", "9999-01-01T00:00:00Z", None])
@pytest.mark.parametrize("form", ["", "iso", "s", "ns", "%Y-%m-%d"])
def test_what_is_no_time_rejects_the_record_by_the_name_of_its_path(value: object, form: str) -> None:
    (why,) = rejected(read(mapped(time_format=form), ROW | {"ts": value}))
    said = "nothing at ts" if value is None else "what is at ts cannot be read as time"
    assert why == f"no time: {said}"


def test_each_time_may_have_its_own_format() -> None:
    span = one({"started_at": {"path": "began", "time_format": "ms"}}, {"began": 1_769_825_639_500})
    assert (span.started_ns, span.ended_ns) == (AT_NS - 5 * 10**8, AT_NS)


def test_durations_and_money_in_the_units_that_are_said() -> None:
    fields = {"duration_ms": "took", "ttft_ms": "first", "wait.human_ms": "human", "cost_usd": "price"}
    row = {"took": "1.5", "first": 0.25, "human": 1, "price": 150}
    span = one(fields, row, duration_unit="s", cost_unit="cents")
    assert (span.started_ns, span.ttft_ns, span.human_wait_ns) == (AT_NS - 1_500_000_000, 250_000_000, 10**9)
    assert (span.cost_nano, span.cost_basis) == (1_500_000_000, "reported")
    assert one(fields, row, duration_unit="us", cost_unit="micro_usd").cost_nano == 150_000
    flagged = one(fields, {"took": -1, "price": "free", "human": {}})
    assert (flagged.flags, flagged.cost_nano) == ("cost_usd,duration_ms,wait.human_ms", None)


def test_counts_as_numbers_as_text_and_as_floats() -> None:
    fields = {"tokens": {"input": "u.in", "output": "u.out", "reasoning": "u.think"}, "attempt": "n"}
    span = one(fields, {"u": {"in": "715", "out": 30.0, "think": 1.5}, "n": "2"})
    assert (span.tokens_input, span.tokens_output, span.attempt) == (715, 30, 2)
    assert (span.tokens_reasoning, span.flags) == (None, "tokens.reasoning")
    assert one(fields, {"u": {"in": 10**15}}).flags == "tokens.input"


def test_input_that_includes_the_cache_is_stored_fresh() -> None:
    fields = {"tokens.input": "in", "tokens.cache_read": "read", "tokens.cache_write_5m": "write"}
    row = {"in": 1200, "read": 1000, "write": 50}
    span = one(fields, row, input_includes_cache=True)
    assert (span.tokens_input, span.tokens_cache_read, span.tokens_cache_write_5m) == (150, 1000, 50)
    assert one(fields, row).tokens_input == 1200
    odd = one(fields, row | {"in": 900}, input_includes_cache=True)
    assert (odd.tokens_input, odd.tokens_cache_read, odd.flags) == (900, 1000, "total_tokens")


def test_paths_into_lists_names_with_dots_and_the_first_that_is_there() -> None:
    fields = {
        "output": "choices.0.text",
        "error_message": "errors.-1",
        "model": ['attributes."gen_ai.request.model"', "model"],
        "user_id": "people.1",
    }
    span = one(
        fields,
        {
            "choices": [{"text": "hello"}],
            "errors": ["a", "b"],
            "attributes": {"gen_ai.request.model": "m1"},
            "model": "m2",
            "people": {"1": 77},
        },
    )
    assert (span.parts["output"], span.error_message, span.model, span.user_id) == ("hello", "b", "m1", "77")
    assert one(fields, {"model": "m2", "choices": []}).model == "m2"


def test_constants_maps_and_defaults() -> None:
    fields = {
        "kind": {"path": "event", "map": {"llm_call": "llm", "tool_call": "tool"}, "default": "run"},
        "status": {"path": "code", "map": {"200": "ok", "500": "error", "true": "ok"}},
        "environment": {"value": "prod"},
        "attempt": {"path": "n", "default": 1},
    }
    rows = [{"event": "llm_call", "code": 200}, {"event": "tool_call", "code": True}, {"event": "x", "n": 3}]
    spans = read(mapped(fields), *(ROW | row for row in rows)).spans
    assert [span.kind for span in spans] == ["llm", "tool", "run"]
    assert [span.status for span in spans] == ["ok", "ok", "unknown"]
    assert [(span.environment, span.attempt) for span in spans] == [("prod", 1), ("prod", 1), ("prod", 3)]
    assert one(fields, {"code": 404}).flags == "status"  # a number that the map does not have
    assert one(fields, {"code": "teapot"}).flags == "status"  # a text that is none of the statuses


def test_records_of_other_types_are_passed_over_and_counted() -> None:
    mapping = mapped({"kind": {"path": "event", "map": {"llm_call": "llm"}}}, where={"path": "type", "in": ["a", 3]})
    rows: list[dict[str, Any]] = [
        {"type": "a"},
        {"type": 3, "event": "llm_call"},
        {"type": "heartbeat"},
        {"type": "sk-secret-0123456789"},
        {},
        {"type": "a", "event": "embedding"},
    ]
    parsed = read(mapping, *(ROW | row for row in rows))
    assert len(parsed.spans) == 2
    assert parsed.unknown_types == {"json/heartbeat": 1, "json/(other)": 1, "json/(none)": 1, "json/embedding": 1}
    assert not parsed.bad


def test_a_record_without_session_or_kind_is_rejected_by_the_path_that_was_looked_at() -> None:
    mapping = mapped({"session_id": ["meta.conv", "conv"]})
    parsed = read(mapping, {"event": "llm", "ts": 1}, ROW | {"event": None}, ROW | {"conv": {"id": 1}}, ROW)
    assert rejected(parsed) == [
        "no session_id: nothing at meta.conv or conv",
        "no kind: nothing at event",
        "no session_id: what is at meta.conv or conv cannot be read as session_id",
    ]
    assert len(parsed.spans) == 1


def test_what_no_field_takes_stays_with_the_payload() -> None:
    fields = {"model": "req.model", "tokens.input": "req.usage.in", "output": "choices.0.text"}
    row = {
        "req": {"model": "m", "usage": {"in": 1}, "region": "eu"},
        "choices": [{"text": "x", "finish": "stop"}],
        "vendor": {"a": [1]},
    }
    extra = json.loads(one(fields, row).parts["extra"])
    assert extra == {"req": {"region": "eu"}, "choices": [{"text": "x", "finish": "stop"}], "vendor": {"a": [1]}}
    assert "extra" not in one({}, {}).parts


def test_a_start_and_its_end_are_one_span() -> None:
    mapping = own_mapping(
        {"session_id": "conv", "kind": {"value": "llm"}, "span_id": "id", "started_at": "began", "ended_at": "done"}
    )
    started, ended = read(
        mapping, {"conv": "c", "id": 7, "began": "2026-01-31T02:14:00Z"}, {"conv": "c", "id": 7, "done": AT_NS}
    ).spans
    assert (started.rank, started.span_id, started.status) == (Rank.STARTED, "7", None)
    assert (ended.rank, ended.span_id, ended.status) == (Rank.ENDED, "7", "unknown")
    (why,) = rejected(read(mapping, {"conv": "c", "began": "2026-01-31T02:14:00Z"}))
    assert why == "a start needs a span_id"


def test_a_document_that_is_a_list_is_its_records() -> None:
    mapping = mapped()
    document = json.dumps([ROW, ROW | {"ts": 0}, 7, ROW | {"conv": "c2"}], indent=1).encode()
    parser = OwnJson(mapping).parser(SourceFacts("s", "/x.json"))
    parsed = parser.parse([Line(0, document)])
    assert [span.session for span in parsed.spans] == ["c1", "c2"]
    assert rejected(parsed) == ["no time: what is at ts cannot be read as time", "not a JSON object"]
    assert len({bad.line.data for bad in parsed.bad}) == 2, "each has a reject of its own"
    grown = [*json.loads(document), ROW | {"conv": "c3"}]
    keys = [(span.namespace, span.span_id) for span in parsed.spans]
    again = OwnJson(mapping).parser(SourceFacts("s", "/x.json")).parse([Line(0, json.dumps(grown).encode())])
    assert [(span.namespace, span.span_id) for span in again.spans][:2] == keys


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"sesion_id": "x"}, "unknown key fields.sesion_id: did you mean session_id"),
        ({"tokens.inputs": "x"}, "unknown key fields.tokens.inputs: did you mean tokens.input"),
        ({"tokens": {"inputs": "x"}}, "unknown key fields.tokens.inputs: did you mean tokens.input"),
        ({"tool": "x"}, "fields.tool is a group: map tool.args, tool.call_id, tool.name, tool.result"),
        ({"model": {"paths": "x"}}, "unknown key fields.model.paths: known are path, value, map"),
        ({"model": {}}, "fields.model: write either path or value"),
        ({"model": {"path": "x", "value": "y"}}, "fields.model: write either path or value"),
        ({"model": {"value": "y", "map": {"a": "b"}}}, "fields.model: a constant value stands alone"),
        ({"model": 7}, "fields.model: write a path, or {value = …} for a constant"),
        ({"model": []}, "fields.model.path: write a path, or a list"),
        ({"model": "a..b"}, "fields.model: 'a..b' is no path"),
        ({"model": 'a."b'}, "is no path"),
        ({"kind": {"value": "chat"}}, "fields.kind: 'chat' is no kind: use run, llm, tool"),
        ({"kind": {"path": "e", "map": {"x": "chat"}}}, "fields.kind.map: 'chat' is no kind"),
        ({"status": {"path": "e", "map": {"x": "done"}}}, "fields.status.map: 'done' is no status"),
        ({"status": {"path": "e", "map": {}}}, "fields.status.map: write the log's values"),
        ({"time": {"value": 7}}, "fields.time: time cannot be a constant"),
        ({"model": {"path": "m", "time_format": "s"}}, "fields.model.time_format: model is no time"),
        ({"time": {"path": "t", "time_format": "seconds"}}, "fields.time.time_format = 'seconds': write iso, s"),
    ],
)
def test_a_wrong_mapping_is_an_error_that_names_its_key(said: dict[str, Any], why: str) -> None:
    with pytest.raises(MappingError) as error:
        mapped(said)
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cost_unit": "eur"}, "cost_unit: write one of usd, cents, micro_usd"),
        ({"duration_unit": "min"}, "duration_unit: write one of s, ms, us, ns"),
        ({"time_zone": "Vienna"}, "time_zone: 'Vienna' is no time zone"),
        ({"time_format": "%H:%M:%S"}, "time_format = '%H:%M:%S': it does not give the whole date"),
        ({"time_format": "%Q"}, "time_format = '%Q': it is no pattern of strptime"),
        ({"where": {"path": "t"}}, "where.in: write the values"),
        ({"where": {"in": ["a"]}}, "where.path: write the path"),
        ({"where": {"path": "t", "in": ["a"], "not": 1}}, "unknown key where.not"),
    ],
)
def test_a_wrong_setting_is_an_error_that_names_it(more: dict[str, Any], why: str) -> None:
    with pytest.raises(MappingError) as error:
        mapped(None, **more)
    assert why in str(error.value)


def test_a_mapping_needs_a_session_a_kind_and_a_time() -> None:
    for missing in BASE:
        with pytest.raises(MappingError, match=r"session_id|kind|time"):
            own_mapping({name: path for name, path in BASE.items() if name != missing})


def test_paths_say_what_they_are() -> None:
    row = {"a": {"b.c": [10, {"d": None}]}, "n": 1}
    path = parse_path('a."b.c".1.d')
    assert path == ("a", "b.c", "1", "d")
    assert path_text(path) == 'a."b.c".1.d'
    assert at_path(row, path) is MISSING
    assert break_of(row, path) == "it is null"
    assert break_of(row, parse_path("a.x.y")) == "a has no 'x'"
    assert break_of(row, parse_path('a."b.c".x')) == 'a."b.c" is a list: a place in it is a number, such as 0'
    assert break_of(row, parse_path('a."b.c".2')) == 'a."b.c" has only 2 in it'
    assert break_of(row, parse_path("n.x")) == "n is neither object nor list"
    assert without({"a": {"b": 1}, "c": 2}, {"a": {"b": {}}}) == {"c": 2}
    assert pickle.loads(pickle.dumps(MISSING)) is MISSING  # noqa: S301 - our own


def test_the_format_can_be_pickled_and_its_name_tells_mappings_apart() -> None:
    mapping = mapped({"model": "m", "status": {"path": "s", "map": {"a": "ok"}}}, where={"path": "t", "in": ["x"]})
    form = OwnJson(mapping)
    again = pickle.loads(pickle.dumps(form))  # noqa: S301 - our own
    assert again.mapping == mapping
    assert again.name == form.name
    assert again.parser(SourceFacts("s", "/x")).parse(lines_from(ROW | {"t": "x", "s": "a"})).spans[0].status == "ok"
    assert OwnJson(mapped({"model": "n"})).name != form.name


GOOD = {
    "conv": "c1",
    "event": "llm_call",
    "ts": "2026-01-31T02:14:00Z",
    "began": 1_769_825_639_500,
    "took": 1.5,
    "usage": {"in": 3, "out": "4", "cached": 1},
    "price": 2,
    "args": {"a": 1},
    "choices": [{"text": "x"}],
    "ok": True,
    "id": "i1",
    "score": 0.5,
}
ALL_OF_IT = own_mapping(
    {
        "session_id": ["conv", "id"],
        "kind": {"path": "event", "map": {"llm_call": "llm"}},
        "time": "ts",
        "started_at": {"path": "began", "time_format": "ms"},
        "duration_ms": "took",
        "tokens.input": "usage.in",
        "tokens.output": "usage.out",
        "tokens.cache_read": "usage.cached",
        "cost_usd": "price",
        "tool.args": "args",
        "output": "choices.0.text",
        "status": {"path": "ok", "map": {"true": "ok"}},
        "effect.reversible": "ok",
        "effect.status": "id",
        "span_id": "id",
        "score.value": "score",
        "guard.action": "usage.in",
    },
    input_includes_cache=True,
    duration_unit="s",
)


def test_any_wrong_value_in_any_place_crashes_nothing() -> None:
    rows = [with_value(GOOD, path, wrong) for path in paths_in(GOOD) for wrong in WRONG]
    parsed = read(ALL_OF_IT, *rows)
    storable(parsed)
    assert len(parsed.spans) > len(rows) / 2
    for time_format in ("s", "ns", "iso", "%Y"):
        if time_format != "%Y":
            storable(read(own_mapping(BASE | {"span_id": "id"}, time_format=time_format), *rows))


@pytest.mark.parametrize("bad", [b"{", b"null", b"\xff\xfe", b"[" * 100_000, b"7", b"[[]]", b"\0"])
def test_the_next_line_is_read_whatever_came_before(bad: bytes) -> None:
    good = json.dumps(GOOD).encode()
    parsed = OwnJson(ALL_OF_IT).parser(SourceFacts("s", "/x")).parse([Line(0, bad), Line(len(bad) + 1, good)])
    assert len(parsed.spans) == 1
    assert len(parsed.bad) == 1
    storable(parsed)


def test_deep_nesting_ends_in_a_span_or_a_reject() -> None:
    for depth in (500, 900, 1100, 20_000):
        deep = b"[" * depth + b"]" * depth
        line = json.dumps(GOOD).encode().replace(b'{"a": 1}', deep)
        parsed = OwnJson(ALL_OF_IT).parser(SourceFacts("s", "/x")).parse([Line(0, line), Line(1, deep)])
        assert len(parsed.spans) + len(parsed.bad) == 2
        storable(parsed)


@needs_data
def test_a_real_log_read_by_a_mapping_comes_to_what_is_in_it() -> None:
    """Pi's assistant rows as somebody's own JSON; the figures are added up from the file by plain json."""
    mapping = own_mapping(
        {
            "session_id": {"value": "one"},
            "kind": {"path": "message.role", "map": {"assistant": "llm"}},
            "ended_at": "timestamp",
            "started_at": {"path": "message.timestamp", "time_format": "ms"},
            "model": "message.model",
            "status": {"path": "message.stopReason", "map": {"stop": "ok", "toolUse": "ok", "length": "capped"}},
            "tokens.input": "message.usage.input",
            "tokens.output": "message.usage.output",
            "tokens.cache_read": "message.usage.cacheRead",
            "tokens.cache_write_5m": "message.usage.cacheWrite",
            "cost_usd": "message.usage.cost.total",
        },
        where={"path": "message.role", "in": ["assistant"]},
    )
    data = PI_FILE.read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    own = [row["message"] for row in rows if row.get("message", {}).get("role") == "assistant"]
    parsed = OwnJson(mapping).parser(SourceFacts("s", str(PI_FILE))).parse(lines_of(data))
    assert not parsed.bad
    assert len(parsed.spans) == len(own) == 453
    assert sum(parsed.unknown_types.values()) == len(rows) - len(own)
    usages = [message["usage"] for message in own]
    assert sum(span.tokens_output or 0 for span in parsed.spans) == sum(one["output"] for one in usages)
    assert sum(span.tokens_cache_read or 0 for span in parsed.spans) == sum(one["cacheRead"] for one in usages)
    cost = sum(one["cost"]["total"] for one in usages)
    assert sum(span.cost_nano or 0 for span in parsed.spans) == pytest.approx(cost * 1e9, abs=1000)
    assert sum(span.status == "aborted" for span in parsed.spans) == sum(
        message["stopReason"] == "aborted" for message in own
    )


# --- the documentation


def test_the_example_of_the_documentation_can_be_used_and_names_every_field() -> None:
    text = (ROOT / "docs" / "own-json.md").read_text("utf-8")
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    (source,) = Config.model_validate(tomllib.loads(block)).source
    assert source.fields is not None
    mapping = own_mapping(
        source.fields,
        where=source.where,
        time_format=source.time_format,
        input_includes_cache=source.input_includes_cache,
        cost_unit=source.cost_unit,
        duration_unit=source.duration_unit,
    )
    row = {
        "type": "llm_call",
        "meta": {"conversation": "c"},
        "ts": AT_NS // 10**6,
        "latency": 2,
        "request": {"model": "m"},
        "usage": {"prompt_tokens": 10, "cached": 4, "completion_tokens": 3},
        "cost": 5,
        "outcome": "failed",
    }
    (span,) = read(mapping, row).spans
    assert (span.kind, span.session, span.model, span.environment) == ("llm", "c", "m", "prod")
    assert (span.tokens_input, span.cost_nano, span.status) == (6, 50_000_000, "error")
    assert (span.ended_ns, span.started_ns) == (AT_NS, AT_NS - 2 * 10**9)
    table = text[text.index("## The fields") : text.index("## How values")]
    named = set(re.findall(r"`([a-z0-9_.]+)`", table))
    for name in field_names():
        assert name in named or f".{name.partition('.')[2]}" in named, name


def test_the_example_of_pulls_can_be_used() -> None:
    config, registry = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "pull.md").read_text("utf-8"), re.DOTALL)
    (pull,) = Config.model_validate(tomllib.loads(config)).pull
    assert (pull.every_s, pull.project) == (10.0, "default")
    assert Registry.model_validate(tomllib.loads(registry)).health_urls()


# --- in the collector


def test_a_declared_source_is_collected_and_another_mapping_reads_it_anew(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    for number in range(5):
        append(log, json.dumps(ROW | {"id": number, "m": f"m{number}", "n": "x"}).encode() + b"\n")
    first = mapped({"span_id": "id", "model": "n"})
    summary = Collector(folder, [Declared(log, "json", "bot", first)], workers=0).run_once()
    assert (summary.spans, summary.rejected) == (5, 0)
    assert ask(folder, "SELECT DISTINCT format, agent, model FROM span") == [("json", "bot", "x")]
    again = Collector(folder, [Declared(log, "json", "bot", first)], workers=0).run_once()
    assert (again.records, again.lines) == (0, 0)
    mended = mapped({"span_id": "id", "model": "m"})
    summary = Collector(folder, [Declared(log, "json", "bot", mended)], workers=0).run_once()
    assert (summary.records, summary.spans) == (5, 0)
    ((format_name,),) = ask(folder, "SELECT format FROM source")
    assert format_name == OwnJson(mended).name


def test_json_without_a_mapping_is_refused() -> None:
    with pytest.raises(CollectError, match="format json is your own"):
        Declarations([Declared("/x", "json")])
