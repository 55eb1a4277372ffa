"""AgentOps log captures: OpenTelemetry log records of its Python SDK."""

from __future__ import annotations

import json

from collectors.formats import recognise
from collectors.formats.base import Line
from tests.unit.format_documents import document, files_of, loaded, read_file, same_when_read_in_versions
from tests.unit.format_files import lines_from, merged, needs_data, parse, parts_of, rejected

NAME = "agentops"
RECORD = {
    "body": "hello",
    "severity_number": 9,
    "severity_text": "INFO",
    "attributes": {"code.lineno": 3},
    "timestamp": "2025-01-31T12:29:57.187259Z",
    "trace_id": "0x5b8efff798038103d269b633813fc60c",
    "span_id": "0xeee19b7ec3c1b174",
    "resource": {"attributes": {"service.name": "bot", "session.id": "s-1"}},
}


@needs_data
def test_the_real_file() -> None:
    """Eight records, one session; ids are 0x and all zeros; bodies carry terminal colours; two are errors."""
    (path,) = files_of("agentops", "log_spans.json")
    parsed = read_file(path, NAME)
    rows, raw = merged(parsed.spans), loaded(path)
    assert len(rows) == len(raw) == 8
    assert {row["session"] for row in rows.values()} == {one["resource"]["attributes"]["session.id"] for one in raw}
    assert {(row["namespace"], row["run_id"], row["agent"]) for row in rows.values()} == {("trace:", None, "agentops")}
    errors = [row for row in rows.values() if row["status"] == "error"]
    assert len(errors) == sum(one["severity_number"] >= 17 for one in raw) == 2
    bodies = {texts["output"] for texts in parts_of(parsed.spans).values()}
    assert bodies == {one["body"] for one in raw}
    assert any("\x1b[31m" in body for body in bodies)
    assert {row["kind"] for row in rows.values()} == {None}
    same_when_read_in_versions(NAME, [raw[:3], raw[:5], raw])


def test_a_record_within_a_span() -> None:
    for lines in (lines_from(RECORD), document([RECORD])):
        found = recognise([line.data for line in lines])
        assert found is not None
        assert found.name == NAME
        (row,) = parse(NAME, lines).spans
        assert (row.namespace, row.parent_id) == ("trace:5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174")
        assert (row.session, row.agent, row.status) == ("s-1", "bot", "ok")
        assert row.ended_ns == 1_738_326_597_187_259_000


def test_what_is_damaged() -> None:
    parsed = parse(NAME, document([RECORD, 7, {**RECORD, "timestamp": None}, {**RECORD, "trace_id": "x"}]))
    assert [row.flags for row in parsed.spans] == [None, "trace_id"]
    assert rejected(parsed) == ["2 of its 4 items: no time that can be read"]
    (row,) = parse(NAME, document({**RECORD, "timestamp": None, "observed_timestamp": RECORD["timestamp"]})).spans
    assert row.ended_ns == 1_738_326_597_187_259_000


def test_others_are_not_taken_for_it() -> None:
    others: list[object] = [{"body": "x"}, [RECORD, 7], {"resourceLogs": []}]
    for other in others:
        found = recognise([json.dumps(other).encode()])
        assert found is None or found.name != NAME
    assert parse(NAME, [Line(0, b"{}")]).bad
