"""Effects as the blast radius reads them: once each, and as they were known at the moment asked for."""

from __future__ import annotations

from typing import Any

from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.scope import Scope
from store.record.span import NS_PER_S, Span
from store.record.tools import ToolFacts, ToolMap
from store.telemetry.reader import Reader
from store.telemetry.views import EffectRow
from store.telemetry.writer import Writer

START_NS = 1_700_000_000_000_000_000
TOOLS = ToolMap({("", "send"): ToolFacts("high", "email", "no")})


def effects(folder: StoreFolder, spans: list[Span], as_of_ns: int) -> tuple[EffectRow, ...]:
    with Writer(folder) as writer:
        writer.write(Batch(spans=spans), START_NS)
    with Reader(folder) as reader:
        return reader.effects(Scope(), as_of_ns, TOOLS)


def call(**values: Any) -> Span:
    given: dict[str, Any] = {"namespace": "n", "span_id": "t", "session": "s", "kind": "tool", "tool": "send"}
    given |= {"started_ns": START_NS, "ended_ns": START_NS + 10 * NS_PER_S, "status": "ok"}
    return Span(**given | values)


def test_a_declared_write_counts_without_a_reported_effect(folder: StoreFolder) -> None:
    (effect,) = effects(folder, [call()], START_NS + 20 * NS_PER_S)
    assert (effect.system, effect.status, effect.reversible, effect.basis) == ("email", "confirmed", "no", "declared")


def test_a_write_that_ended_later_is_in_flight_at_that_moment(folder: StoreFolder) -> None:
    (effect,) = effects(folder, [call(effect_external_id="x")], START_NS + 5 * NS_PER_S)
    assert (effect.status, effect.external_id) == ("sent", None)


def test_a_call_and_the_side_effect_it_reports_are_one_write(folder: StoreFolder) -> None:
    reported = call(span_id="e", parent_id="t", kind="side_effect", tool=None)
    reported.effect_system, reported.effect_status, reported.effect_basis = "email", "sent", "reported"
    (effect,) = effects(folder, [call(), reported], START_NS + 20 * NS_PER_S)
    assert (effect.span_id, effect.status) == ("e", "sent")


def test_an_undeclared_tool_is_no_effect(folder: StoreFolder) -> None:
    assert effects(folder, [call(tool="other")], START_NS + 20 * NS_PER_S) == ()
