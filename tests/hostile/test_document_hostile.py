"""Documents that are lists, in every shape a format takes: wrong types anywhere, depth, items that are no items."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from collectors.formats import recognise
from collectors.formats.base import Line
from collectors.formats.decode import CANNOT
from tests.hostile.test_format_hostile import GOOD, WRONG, paths_in, storable, with_value
from tests.unit.format_files import lines_from, merged, parse, parse_with_restarts, parts_of, rejected

SHAPES: list[tuple[str, Any]] = [
    ("langfuse", [GOOD["langfuse"]]),
    ("langfuse", GOOD["langfuse"]["observations"]),
    ("langfuse", {"data": [{**GOOD["langfuse"]["trace"], "observations": GOOD["langfuse"]["observations"]}]}),
    ("langsmith", [GOOD["langsmith"]]),
    ("langsmith", GOOD["langsmith"]["post"]),
    ("litellm", [GOOD["litellm"]]),
    ("litellm", {"standard_logging_object": GOOD["litellm"], "model": "m"}),
    ("openai-agents", GOOD["openai-agents"]["data"]),
    ("datadog", [GOOD["datadog"]["spans"][1:]]),
    ("datadog", GOOD["datadog"]["spans"]),
    ("datadog", [GOOD["datadog"]]),
    ("openhands", GOOD["openhands"]["history"]),
]
IDS = [f"{name}-{number}" for number, (name, _) in enumerate(SHAPES)]


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
def test_the_good_one_is_recognised_and_read(name: str, good: Any) -> None:
    data = json.dumps(good).encode()
    found = recognise([data])
    assert found is not None
    assert found.name == name
    parsed = parse(name, [Line(0, data)])
    assert parsed.spans
    assert not parsed.bad, rejected(parsed)


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
def test_any_wrong_value_in_any_place(name: str, good: Any) -> None:
    rows = [with_value(good, path, wrong) for path in paths_in(good) for wrong in WRONG]
    for row in random.Random(5).sample(rows, min(300, len(rows))):
        recognise([json.dumps(row).encode()])
    storable(parse(name, [Line(number, json.dumps(row).encode()) for number, row in enumerate(rows)]))


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
def test_two_wrong_values_at_once(name: str, good: Any) -> None:
    draw, rows = random.Random(11), []
    for _ in range(400):
        row = with_value(good, draw.choice(paths_in(good)), draw.choice(WRONG))
        rows.append(with_value(row, draw.choice(paths_in(row)), draw.choice(WRONG)))
    storable(parse(name, [Line(number, json.dumps(row).encode()) for number, row in enumerate(rows)]))


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
@pytest.mark.parametrize("depth", [500, 900, 1100, 20_000])
def test_depth_in_every_place_that_holds_a_text(name: str, good: Any, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    marked = [with_value(good, path, "<here>") for path in paths_in(good)[::3] if path]
    lines = [json.dumps(row).replace('"<here>"', deep).encode() for row in marked]
    storable(parse(name, [Line(number, line) for number, line in enumerate(lines)]))
    assert recognise([deep.encode()]) is None


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
def test_lists_of_what_are_no_items(name: str, good: Any) -> None:
    junk: list[Any] = [3, None, "x", [], {}, [[]], True, {"object": []}, {"trace": 1}, {"spans": {}}, {"data": 3}]
    for value in (junk, [junk], {"data": junk}, {"spans": junk}, {"post": junk, "patch": junk}, {"history": junk}):
        parsed = parse(name, [Line(0, json.dumps(value).encode())])
        assert parsed.spans == []
        assert parsed.bad
        assert not rejected(parsed)[0].startswith(CANNOT)
    if isinstance(good, list):
        mixed = parse(name, [Line(0, json.dumps([*good, 3]).encode())])
        assert len(mixed.spans) == len(parse(name, [Line(0, json.dumps(good).encode())]).spans)
        assert len(mixed.bad) == 1


@pytest.mark.parametrize(("name", "good"), SHAPES, ids=IDS)
def test_a_restart_at_every_line_changes_nothing(name: str, good: Any) -> None:
    lines = lines_from(good, b"{broken", GOOD[name], 3, good)
    whole, pieces = parse(name, lines), parse_with_restarts(name, lines)
    assert merged(pieces.spans) == merged(whole.spans)
    assert parts_of(pieces.spans) == parts_of(whole.spans)
    assert pieces.bad == whole.bad
    assert merged([*reversed(whole.spans), *whole.spans]) == merged(whole.spans)
