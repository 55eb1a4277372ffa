"""Blast radius: every write in order, duplicates by a rule that is said, nothing undeclared called safe."""

from __future__ import annotations

from runbooks.effects.blast import Blast, blast
from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.scope import Scope
from store.record.span import NS_PER_S, Rank, Span
from store.record.window import Window
from store.registry.model import Agent, Registry, System, Tool
from store.telemetry.reader import Reader
from store.telemetry.writer import Writer

T0 = 1_700_000_000 * NS_PER_S
REGISTRY = Registry(
    agents={
        "bot": Agent(
            tools={
                "send_email": Tool(tier="high", reversible="no", system="email"),
                "update_crm": Tool(tier="limited", reversible="yes", system="crm", undo="delete the note"),
                "look": Tool(tier="read"),
            }
        )
    },
    systems={"email": System(owner="@mail", check="grep the log"), "crm": System(owner="@sales")},
)


def call(number: int, tool: str, **more: object) -> Span:
    values: dict[str, object] = {
        "namespace": "session:s1",
        "span_id": f"sp-{number:03d}",
        "session": "s1",
        "kind": "tool",
        "agent": "bot",
        "tool": tool,
        "started_ns": T0 + number * NS_PER_S,
        "ended_ns": T0 + number * NS_PER_S + 1,
        "status": "ok",
    }
    return Span(**(values | more))  # type: ignore[arg-type]


def email(number: int, key: str | None, status: str = "confirmed", **more: object) -> Span:
    return call(
        number,
        "send_email",
        effect_system="email",
        effect_operation="send",
        effect_resource="<email:6f2a91c04be7>",
        effect_status=status,
        effect_idempotency_key=key,
        effect_reversible="no",
        effect_basis="reported",
        **more,
    )


def look(folder: StoreFolder, spans: list[Span], scope: str = "agent:bot", window: Window | None = None) -> Blast:
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), T0 + 3600 * NS_PER_S)
    with Reader(folder) as reader:
        return blast(reader, Scope.parse(scope), REGISTRY, T0 + 3600 * NS_PER_S, window)


def test_writes_are_counted_by_system_in_the_order_they_happened(folder: StoreFolder) -> None:
    found = look(
        folder,
        [
            email(9, "k-1"),
            email(1, "k-1"),
            email(5, None, "unknown"),
            call(2, "update_crm", parts={"input": "{}"}),
            call(3, "update_crm", parts={"input": "{}"}, status="error"),
            call(4, "look"),
            call(6, "look"),
            call(7, "export_csv"),
        ],
    )
    mail, crm = found.systems
    assert (mail.system, mail.owner, mail.check, mail.undo) == ("email", "@mail", "grep the log", "no")
    assert [effect.row.span_id for effect in mail.effects] == ["sp-001", "sp-005", "sp-009"]
    assert (mail.writes, mail.ok, mail.failed, mail.unknown, mail.duplicates, mail.cannot_undo) == (3, 2, 0, 1, 1, 3)
    assert [effect.duplicate_of for effect in mail.effects] == [None, None, "sp-001"]
    assert (crm.writes, crm.ok, crm.failed, crm.duplicates, crm.undo) == (2, 1, 1, 0, "yes")
    assert [effect.undo_how for effect in crm.effects] == ["delete the note"] * 2
    assert (found.writes, found.unknown, found.duplicates, found.cannot_undo, found.reads) == (5, 1, 1, 3, 2)
    assert [(tool.tool, tool.calls) for tool in found.unmapped] == [("export_csv", 1)]
    assert "idempotency key" in found.duplicate_rule


def test_without_a_key_the_same_arguments_in_the_same_session_make_a_duplicate(folder: StoreFolder) -> None:
    found = look(
        folder,
        [
            call(1, "update_crm", parts={"input": '{"note":"a"}'}),
            call(2, "update_crm", parts={"input": '{"note":"b"}'}),
            call(3, "update_crm", parts={"input": '{"note":"a"}'}),
            call(4, "update_crm", parts={"input": '{"note":"a"}'}, session="s2", namespace="session:s2"),
            call(5, "update_crm"),
            call(6, "update_crm"),
        ],
    )
    assert [effect.duplicate_of for effect in found.systems[0].effects] == [None, None, "sp-001", None, None, None]


def test_a_retry_of_a_write_that_failed_is_no_duplicate_and_one_of_an_unknown_write_is(folder: StoreFolder) -> None:
    found = look(folder, [email(1, "a", "failed"), email(2, "a"), email(3, "b", "unknown"), email(4, "b")])
    assert [effect.duplicate_of for effect in found.systems[0].effects] == [None, None, None, "sp-003"]


def test_planned_and_undone_writes_are_no_writes_that_happened(folder: StoreFolder) -> None:
    found = look(folder, [email(1, "a", "planned"), email(2, "a", "compensated"), email(3, "a", "sent")])
    mail = found.systems[0]
    assert (mail.writes, mail.undone, mail.unknown, mail.cannot_undo, mail.duplicates) == (2, 1, 1, 1, 0)


def test_an_effect_of_an_undeclared_tool_counts_and_is_marked(folder: StoreFolder) -> None:
    span = call(1, "wipe", effect_system="disk", effect_status="confirmed")
    found = look(folder, [span])
    (effect,) = found.systems[0].effects
    assert (effect.declared, effect.undo, found.systems[0].owner) == (False, "unknown", None)
    assert [tool.tool for tool in found.unmapped] == ["wipe"]


def test_a_write_in_flight_is_unknown_and_a_scope_or_window_narrows(folder: StoreFolder) -> None:
    spans = [
        email(1, "a"),
        email(2, "b", "sent", rank=Rank.STARTED, ended_ns=None),
        email(3, "c", session="s2", namespace="session:s2"),
    ]
    found = look(folder, spans, "session:s1")
    assert (found.writes, found.unknown) == (2, 1)
    window = Window(T0, T0 + 2 * NS_PER_S, "2 s")
    assert look(folder, spans, "all", window).writes == 1
    assert look(folder, spans, "agent:nobody").systems == ()


def test_the_systems_that_need_a_hand_come_first(folder: StoreFolder) -> None:
    found = look(folder, [call(1, "update_crm"), call(2, "update_crm"), email(3, "a", "unknown")])
    assert [system.system for system in found.systems] == ["email", "crm"]
