"""Classify, price, redact: in that order, over a batch."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from collectors.enrich import Enricher
from collectors.enrich.classify import classify
from store.folder import StoreFolder
from store.record.span import Rank, Span
from store.record.tools import ToolFacts, ToolMap

MAP = ToolMap(
    {
        ("billing", "pay"): ToolFacts("high", "bank", "no"),
        ("", "pay"): ToolFacts("limited", "any-bank", "unknown"),
        ("billing", "look"): ToolFacts("read", "bank", "yes"),
    }
)


def tool(name: str | None = "pay", **fields: Any) -> Span:
    given: dict[str, Any] = {"kind": "tool", "agent": "billing", "tool": name, "status": "ok", **fields}
    return Span(namespace="n", span_id="s", **given)


def effect(span: Span) -> tuple[str | None, ...]:
    classify(span, MAP)
    return span.effect_system, span.effect_operation, span.effect_status, span.effect_reversible, span.effect_basis


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "ok"}, "confirmed"),
        ({"status": "error"}, "failed"),
        ({"status": "aborted"}, "unknown"),
        ({"status": "cancelled"}, "unknown"),
        ({"status": "unknown", "rank": Rank.ABANDONED}, "unknown"),
        ({"status": None, "rank": Rank.STARTED}, "sent"),
    ],
)
def test_a_declared_write_has_an_effect(fields: dict[str, Any], status: str) -> None:
    assert effect(tool(**fields)) == ("bank", "pay", status, "no", "declared")


def test_the_agents_own_declaration_goes_first() -> None:
    assert effect(tool(agent="other"))[0] == "any-bank"


def test_a_declared_read_is_a_read_whatever_its_name_says() -> None:
    assert effect(tool("look")) == (None, None, None, None, "declared")
    declared = ToolMap({("billing", "delete_all"): ToolFacts("read", "x", "yes")})
    span = tool("delete_all")
    classify(span, declared)
    assert (span.effect_system, span.effect_basis) == (None, "declared")


def test_an_unmapped_tool_that_nothing_tells_about_is_an_effect_of_unknown_kind() -> None:
    assert effect(tool("unheard-of")) == ("unknown", "unheard-of", "confirmed", "unknown", "unknown")
    assert effect(tool(None)) == ("unknown", None, "confirmed", None, "unknown")


@pytest.mark.parametrize("span", [tool(kind="llm"), Span(namespace="n", span_id="s")])
def test_what_is_no_tool_call_has_no_effect(span: Span) -> None:
    assert effect(span) == (None, None, None, None, None)


def test_a_reported_effect_stands() -> None:
    span = tool(effect_system="crm", effect_status="planned", effect_basis="reported")
    assert effect(span) == ("crm", None, "planned", None, "reported")


def test_a_batch_is_classified_and_priced_on_the_raw_text_then_redacted(tmp_path: Path) -> None:
    facts = ToolMap({("bot@corp.example", "pay"): ToolFacts("high", "ops@bank.example", "no")})
    enricher = Enricher(StoreFolder(tmp_path).prepare(), facts)
    span = tool(agent="bot@corp.example", model="claude-opus-4-5", tokens_input=5, tokens_output=1, ended_ns=10**18)
    span.parts = {"input": '{"to":"bob@example.com"}'}
    enricher.spans([span])
    assert span.agent == enricher.token_of("bot@corp.example") != "bot@corp.example"
    assert span.effect_system == enricher.token_of("ops@bank.example")
    assert (span.effect_basis, span.cost_basis) == ("declared", "computed")
    assert span.parts == {"input": f'{{"to":"{enricher.token_of("bob@example.com")}"}}'}


def test_text_and_tokens(tmp_path: Path) -> None:
    folder = StoreFolder(tmp_path).prepare()
    enricher, again = Enricher(folder, ToolMap()), Enricher(folder, ToolMap())
    assert enricher.token_of("alice") == "alice"
    assert enricher.token_of("alice@example.com") == again.token_of("ALICE@example.com")
    assert enricher.text("mail bob@example.com!") == f"mail {again.token_of('bob@example.com')}!"
    assert stat.S_IMODE(folder.redact_key.stat().st_mode) == 0o600


def test_two_stores_have_two_keys(tmp_path: Path) -> None:
    one, two = (Enricher(StoreFolder(tmp_path / name).prepare(), ToolMap()) for name in ("a", "b"))
    assert one.token_of("bob@example.com") != two.token_of("bob@example.com")
