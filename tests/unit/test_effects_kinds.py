"""Tool calls that are no shell: by their arguments, else by their name, and an effect where neither tells."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.enrich.classify import classify, external_id, idempotency_key
from collectors.enrich.effects import judge
from collectors.enrich.effects.http import place
from collectors.enrich.effects.names import words_of
from collectors.enrich.effects.sql import effects as sql_effects
from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.scope import Scope
from store.record.span import NS_PER_S, Rank, Span
from store.record.tools import ToolFacts, ToolMap
from store.registry.model import Registry, Tool
from store.telemetry.reader import Reader
from store.telemetry.writer import Writer
from tests.unit.format_files import DATA, VIEWER, lines_of, merged, needs_data, of_kind, parse

T0 = 1_700_000_000 * NS_PER_S

WRITES = [  # tool, arguments, (system, operation, resource, reversible, basis)
    ("Write", {"file_path": "/a.py", "content": "x"}, ("files", "write", "/a.py", "unknown", "argument")),
    (
        "Edit",
        {"file_path": "/a.py", "old_string": "x", "new_string": "y"},
        ("files", "edit", "/a.py", "yes", "argument"),
    ),
    ("edit", {"path": "/a.py", "oldText": "x", "newText": "y"}, ("files", "edit", "/a.py", "yes", "argument")),
    ("edit_file", {"path": "/a.py", "content": "y"}, ("files", "edit", "/a.py", "unknown", "argument")),
    (
        "NotebookEdit",
        {"notebook_path": "/n.ipynb", "new_source": ""},
        ("files", "edit", "/n.ipynb", "unknown", "argument"),
    ),
    ("str_replace_editor", {"command": "create", "path": "/a"}, ("files", "create", "/a", "unknown", "argument")),
    (
        "str_replace_based_edit_tool",
        {"command": "str_replace", "path": "/a"},
        ("files", "str_replace", "/a", "yes", "argument"),
    ),
    ("delete_file", {"path": "/a"}, ("files", "delete", "/a", "no", "argument")),
    ("Write", None, ("files", "write", None, "unknown", "name")),
    (
        "http_request",
        {"method": "post", "url": "https://k:s@api.example.com/v1/pay?key=1"},
        ("http", "POST", "api.example.com/v1/pay", "unknown", "argument"),
    ),
    (
        "http_request",
        {"method": "DELETE", "url": "https://api.example.com/x"},
        ("http", "DELETE", "api.example.com/x", "no", "argument"),
    ),
    (
        "http_request",
        {"url": "https://api.example.com/x", "json": {"a": 1}},
        ("http", "POST", "api.example.com/x", "unknown", "argument"),
    ),
    ("run_query", {"sql": "update users set a = 1"}, ("sql", "UPDATE", "users", "no", "argument")),
    ("postgres_query", {"query": "INSERT INTO orders VALUES (1)"}, ("postgres", "INSERT", "orders", "yes", "argument")),
    ("mcp__pg__query", {"sql": "DELETE FROM users"}, ("pg", "DELETE", "users", "no", "argument")),
    ("mcp__github__create_issue", {"repo": "o/r", "title": "t"}, ("github", "create_issue", "o/r", "unknown", "name")),
    ("mcp__slack__post_message", {"channel": "#ops", "text": "t"}, ("slack", "post_message", "#ops", "no", "name")),
    ("mcp__x__frobnicate", {}, ("x", "frobnicate", None, "unknown", "name")),
    ("mcp__playwright__browser_click", {"element": "Buy"}, ("playwright", "browser_click", "Buy", "unknown", "name")),
    ("browser_click", {"element": "Buy", "ref": "e1"}, ("browser", "click", "Buy", "unknown", "argument")),
    ("computer", {"action": "type", "text": "hello"}, ("browser", "type", "hello", "unknown", "argument")),
    (
        "send_email",
        {"to": ["a@example.com", "b@example.com"]},
        ("email", "send_email", "a@example.com, b@example.com", "no", "name"),
    ),
    ("sendEmail", {"recipient": "a@example.com"}, ("email", "sendEmail", "a@example.com", "no", "name")),
    ("refund_payment", {"order_id": 7}, ("refund_payment", "refund_payment", "7", "no", "name")),
    ("get_or_create_user", {}, ("get_or_create_user", "get_or_create_user", None, "unknown", "name")),
    ("user-delete", {"user_id": "u1"}, ("user-delete", "user-delete", "u1", "no", "name")),
    ("frobnicate", {"id": "f1"}, ("unknown", "frobnicate", "f1", "unknown", "unknown")),
    ("execute_code", {"code": "print(1)"}, ("shell", "execute_code", None, "unknown", "unknown")),
    ("KillShell", {"shell_id": "b1"}, ("processes", "kill", "b1", "no", "name")),
]

READS = [
    ("Read", {"file_path": "/a"}),
    ("WebFetch", {"url": "https://example.com", "prompt": "p"}),
    ("WebSearch", {"query": "delete from users"}),
    ("TodoWrite", {"todos": []}),
    ("Task", {"prompt": "delete everything"}),
    ("http_request", {"method": "GET", "url": "https://example.com"}),
    ("run_sql", {"sql": "SELECT 1; -- delete from users"}),
    ("query_db", {"query": "with a as (select 1) select * from a"}),
    ("str_replace_editor", {"command": "view", "path": "/a"}),
    ("mcp__github__list_issues", {"repo": "o/r"}),
    ("mcp__playwright__browser_snapshot", {}),
    ("mcp__playwright__browser_navigate", {"url": "https://example.com"}),
    ("computer", {"action": "screenshot"}),
    ("getWeather", {"city": "Wien"}),
    ("search_invoices", {"q": "paid"}),
    ("VectorStoreRetriever", "a question"),
    ("list_posts", {}),
    ("lookup-order", {"order_id": "1"}),
    ("git", "status"),
]


def as_text(arguments: object) -> str | None:
    return arguments if arguments is None or isinstance(arguments, str) else json.dumps(arguments)


@pytest.mark.parametrize(("tool", "arguments", "expected"), WRITES)
def test_a_write(tool: str, arguments: dict[str, Any] | None, expected: tuple[str | None, ...]) -> None:
    found = judge(tool, as_text(arguments)).effects[0]
    assert (found.system, found.operation, found.resource, found.reversible, found.basis) == expected


@pytest.mark.parametrize(("tool", "arguments"), READS)
def test_a_read(tool: str, arguments: object) -> None:
    assert judge(tool, as_text(arguments)).effects == ()


def test_arguments_that_are_json_in_a_string_are_opened() -> None:
    inside = json.dumps(json.dumps({"file_path": "/a", "content": ""}))
    assert judge("Write", inside).effects[0].resource == "/a"


def test_a_patch_names_every_file_it_changes() -> None:
    patch = (
        "*** Begin Patch\n*** Add File: new.py\n+x\n*** Update File: old.py\n*** Delete File: gone.py\n*** End Patch"
    )
    for arguments in (patch, json.dumps({"input": patch}), json.dumps({"patch": patch})):
        found = judge("apply_patch", arguments).effects
        assert [(one.operation, one.resource) for one in found] == [
            ("delete", "gone.py"),
            ("create", "new.py"),
            ("edit", "old.py"),
        ]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM a; DELETE FROM public.users WHERE id = 1", [("DELETE", "public.users")]),
        ('UPDATE ONLY "My Table" AS t SET a = 1', [("UPDATE", "My Table")]),
        ("INSERT OR REPLACE INTO kv VALUES ('; drop table users;')", [("INSERT", "kv")]),
        ("WITH gone AS (DELETE FROM jobs RETURNING *) SELECT * FROM gone", [("DELETE", "jobs")]),
        ("EXPLAIN DELETE FROM users", []),
        ("EXPLAIN ANALYZE DELETE FROM users", [("DELETE", "users")]),
        ("/* delete from users */ SELECT 1 -- drop table x", []),
        ("TRUNCATE TABLE logs", [("TRUNCATE", "logs")]),
        ("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", [("CREATE INDEX", "i")]),
        ("ALTER TABLE users ADD COLUMN a int", [("ALTER TABLE", "users")]),
        ("SELECT * INTO copy FROM users", [("SELECT INTO", "copy")]),
        ("CALL pay_all()", [("CALL", None)]),
        ("GRANT ALL ON users TO bob", [("GRANT", None)]),
        ("PRAGMA user_version", []),
        ("PRAGMA user_version = 5", [("PRAGMA", None)]),
        ("select pg_terminate_backend(5)", [("SELECT", None)]),
        ("COPY users TO STDOUT", []),
        ("COPY users FROM STDIN", [("COPY", "users")]),
        ("BEGIN; COMMIT", []),
    ],
)
def test_sql_statements(sql: str, expected: list[tuple[str, str | None]]) -> None:
    assert [(one.operation, one.resource) for one in sql_effects(sql, "sql")] == expected


@pytest.mark.parametrize(
    "sql",
    ["/*" * 10_000, "'" * 20_001, "\\'" * 10_000, "SELECT x " * 3_000, "UPDATE " * 3_000, "INSERT" + " " * 20_000,
     "UPDATE " + "a" * 20_000, "UPDATE a" + " " * 20_000, "LOAD DATA " * 2_000, "CREATE TABLE " * 1_500,
     "--" * 10_000, "(" * 20_000],
    ids=lambda sql: sql[:8],
)  # fmt: skip
@pytest.mark.timeout(30)
def test_hostile_sql_costs_no_more_than_its_length(sql: str) -> None:
    sql_effects(sql, "sql")
    judge("run_sql", json.dumps({"query": sql}))


def test_a_place_has_no_credentials_and_no_query() -> None:
    assert place("https://user:secret@api.example.com:8443/v1/x/?key=secret#f") == "api.example.com:8443/v1/x"
    assert place("api.example.com/v1") == "api.example.com/v1"
    assert place("http://[::1") == "http://[::1"


def test_names_are_cut_into_words() -> None:
    assert words_of("sendEmail") == words_of("send-email") == words_of("send_email") == ["send", "email"]
    assert words_of("HTTPPost2") == ["http", "post", "2"]


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ('{"idempotency_key":"k-1","to":"x"}', "k-1"),
        ('{"headers":{"Idempotency-Key":"abc"}}', "abc"),
        ('{"idempotencyKey": "abc"}', "abc"),
        ('{"command":"curl -H \'Idempotency-Key: 77-aa\' -X POST https://x"}', "77-aa"),
        ('{"command":"curl -H \\"Idempotency-Key: 77\\" https://x"}', "77"),
        ('{"to":"x"}', None),
        (None, None),
    ],
)
def test_an_idempotency_key_is_found_where_it_stands(arguments: str | None, key: str | None) -> None:
    assert idempotency_key(arguments) == key


@pytest.mark.parametrize(
    ("result", "external"),
    [
        ('{"id":"ch_1","object":"charge"}', "ch_1"),
        ('{"ok":true,"charge_id":"ch_2"}', "ch_2"),
        ('{"data":{"id":12345}}', "12345"),
        ('{"id":{"deep":1}}', None),
        ('[{"id":"x"}]', None),
        ("id: 5", None),
        ("", None),
        ('{"id":', None),
        (None, None),
    ],
)
def test_an_external_id_is_taken_from_a_json_result(result: str | None, external: str | None) -> None:
    assert external_id(result) == external


def span(**fields: Any) -> Span:
    given: dict[str, Any] = {"kind": "tool", "agent": "bot", "tool": "pay", "status": "ok", "ended_ns": T0 + 9}
    return Span(namespace="n", span_id="s", session="s", started_ns=T0, **{**given, **fields})


def test_a_whole_effect() -> None:
    paid = span(parts={"input": '{"to":"acme","idempotency_key":"k1"}', "output": '{"id":"pay_9"}'})
    classify(paid, ToolMap())
    assert (paid.effect_system, paid.effect_resource, paid.effect_status, paid.effect_basis) == (
        "pay",
        "acme",
        "confirmed",
        "name",
    )
    assert (paid.effect_idempotency_key, paid.effect_external_id, paid.effect_reversible) == ("k1", "pay_9", "no")


def test_a_declared_tool_keeps_its_system_and_takes_the_resource_from_the_arguments() -> None:
    declared = ToolMap({("", "pay"): ToolFacts("high", "bank", "no")})
    paid = span(parts={"input": '{"to":"acme","idempotency_key":"k1"}'})
    classify(paid, declared)
    assert (paid.effect_system, paid.effect_operation, paid.effect_resource) == ("bank", "pay", "acme")
    assert (paid.effect_basis, paid.effect_idempotency_key) == ("declared", "k1")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"rank": Rank.STARTED, "ended_ns": None, "status": None}, "sent"),
        ({"status": "error"}, "failed"),
        ({"status": "unknown", "rank": Rank.ABANDONED}, "unknown"),
    ],
)
def test_the_status_is_that_of_the_call(fields: dict[str, Any], status: str) -> None:
    rm = span(tool="Bash", parts={"input": '{"command":"rm x"}'}, **fields)
    classify(rm, ToolMap())
    assert rm.effect_status == status


@given(
    st.text(max_size=30),
    st.none()
    | st.text(max_size=80)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["command", "url", "method", "sql", "query", "path", "action", "input", "to", "id", "patch"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ).map(json.dumps),
)
def test_any_tool_and_any_arguments_are_judged_without_an_error(tool: str, arguments: str | None) -> None:
    verdict = judge(tool, arguments)
    assert verdict.basis in {"argument", "name", "unknown"}


def test_any_known_tool_with_wrong_types_is_judged_without_an_error() -> None:
    wrong: list[Any] = [None, 5, True, [], ["a", 5], {}, {"command": 5}, "x", "{", [["a"]]]
    tools = (
        [tool for tool, *_ in WRITES]
        + [str(tool) for tool, _ in READS]
        + ["Bash", "apply_patch", "browser", "write_stdin"]
    )
    keys = ["command", "url", "method", "sql", "path", "action", "file_path", "headers", "to", "code", "input", "edits"]
    for tool in tools:
        for value in wrong:
            judge(tool, json.dumps(value))
            for key in keys:
                judge(tool, json.dumps({key: value}))


# --- through the store


def stored(folder: StoreFolder, spans: list[Span], tools: ToolMap) -> Reader:
    for one in spans:
        classify(one, tools)
    with Writer(folder) as writer:
        for one in spans:  # each in a transaction of its own, as a live log would bring them
            writer.write(Batch(spans=[one]), T0)
    return Reader(folder)


def test_the_start_knows_what_the_end_knows_how(folder: StoreFolder) -> None:
    start = span(
        tool="Bash", rank=Rank.STARTED, ended_ns=None, status=None, parts={"input": '{"command":"git push origin x"}'}
    )
    end = span(tool="Bash", parts={"output": "done"})
    with stored(folder, [end, start], ToolMap()) as reader:
        (effect,) = reader.effects(Scope(), T0 + NS_PER_S, ToolMap())
        assert (effect.system, effect.operation, effect.resource) == ("git", "push", "origin x")
        assert (effect.status, effect.basis, effect.reversible) == ("confirmed", "argument", "yes")


def test_a_read_by_its_arguments_stays_a_read_when_it_ends(folder: StoreFolder) -> None:
    start = span(tool="Bash", rank=Rank.STARTED, ended_ns=None, status=None, parts={"input": '{"command":"ls"}'})
    with stored(folder, [start, span(tool="Bash", parts={"output": "a b"})], ToolMap()) as reader:
        assert reader.effects(Scope(), T0 + NS_PER_S, ToolMap()) == ()
        assert [(use.tool, use.did) for use in reader.tool_uses(Scope(), T0 + NS_PER_S)] == [("Bash", "read")]


def test_a_declaration_made_later_goes_before_what_the_call_told(folder: StoreFolder) -> None:
    later = Registry(tools={"Bash": Tool(tier="high", system="prod-host", reversible="no")}).tool_map()
    reads = Registry(tools={"Bash": Tool(tier="read")}).tool_map()
    with stored(folder, [span(tool="Bash", parts={"input": '{"command":"rm x"}'})], ToolMap()) as reader:
        (effect,) = reader.effects(Scope(), T0 + NS_PER_S, later)
        assert (effect.system, effect.operation, effect.basis, effect.reversible) == (
            "prod-host",
            "Bash",
            "declared",
            "no",
        )
        assert reader.effects(Scope(), T0 + NS_PER_S, reads) == ()


# --- over real logs


@needs_data
def test_what_a_real_session_did() -> None:
    """Counted by hand in the file: of its shell calls 11 run a project's own programs (4 create-next-app, 4 builds,

    3 dev servers), 4 make folders, 8 write a here document into a file, 1 adds a package; all others only look.
    """
    (path,) = VIEWER.glob("fe5e1c67*")
    spans = parse("claude-code", lines_of(path.read_bytes()), str(path)).spans
    for one in spans:
        classify(one, ToolMap())
    rows = of_kind(merged(spans), "tool")
    shell = [row for row in rows if row["tool"] == "Bash"]
    assert Counter((row["effect_system"], row["effect_basis"]) for row in shell if row["effect_system"]) == {
        ("shell", "unknown"): 11,
        ("files", "argument"): 12,
        ("packages", "argument"): 1,
    }
    assert Counter(row["effect_operation"] for row in shell if row["effect_system"] == "files") == {
        "create": 4,
        "write": 8,
    }
    assert {row["effect_basis"] for row in shell if row["effect_system"] is None} == {"argument"}
    ended = [row for row in rows if row["tool"] == "KillBash"]
    assert [(row["effect_system"], row["effect_resource"]) for row in ended] == [
        ("processes", f"bash_{number}") for number in (1, 2, 3)
    ]
    silent = ("Read", "TodoWrite", "Task", "Glob", "BashOutput", "LS")
    assert all(row["effect_system"] is None for row in rows if row["tool"] in silent)
    writers = [row for row in rows if row["tool"] in ("Write", "Edit", "MultiEdit")]
    assert all(row["effect_resource"].startswith("/path/to/Demo") for row in writers)


@needs_data
def test_what_the_real_pi_session_did_by_its_shell() -> None:
    (path,) = (path for path in (DATA / "pi").rglob("*.jsonl") if path.stat().st_size > 500_000)
    spans = parse("pi", lines_of(path.read_bytes()), str(path)).spans
    for one in spans:
        classify(one, ToolMap())
    rows = [row for row in of_kind(merged(spans), "tool") if row["tool"] == "bash"]
    pushes = [row for row in rows if row["effect_operation"] == "push"]
    commands = [one.parts["input"] for one in spans if one.tool == "bash" and "input" in one.parts]
    assert len(pushes) == sum("git push" in command for command in commands)
    deletes = [row for row in rows if row["effect_operation"] == "delete"]
    assert len(deletes) == sum('"rm ' in command or "&& rm " in command or "; rm " in command for command in commands)
    assert all(row["effect_reversible"] == "no" for row in deletes)
    looks = [row for row in rows if row["effect_system"] is None]
    assert looks
    assert {row["effect_basis"] for row in looks} == {"argument"}
