"""What a log can say, in every field of every screen: nothing steers the terminal, nothing acts (CASES H1 to H16)."""

from __future__ import annotations

import dataclasses
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from console.app import AndonApp
from console.screens.board import BoardScreen
from console.screens.stop import StopScreen
from store.telemetry.views import CostLeader
from tests.snapshot import fleet
from tests.snapshot.waiting import screen_text, until, until_shown

PAYLOADS = {
    "clear": "\x1b[2J\x1b[1A\x1b[K\x1b[777;1H",
    "clipboard": "\x1b]52;c;ZXZpbA==\x07",
    "title": "\x1b]0;pwned\x07\x1b]2;pwned\x1b\\\x1b[c\x1b[>q\x1b[6n",
    "link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "strings": "\x1bP1$qm\x1b\\\x1b_Gf=100;AAAA\x1b\\\x1b^x\x1b\\\x1bXx\x1b\\\x1b]1337;File=inline=1:AAAA\x07",
    "c1": "\x9b2J\x9d0;pwned\x9c\x90q\x9c",
    "unterminated": "\x1b]0;never ends",
    "overwrite": "SAFE\rEVIL\x08\x08\x07\x7f\x85\u2028\u2029",
    "markup": "[/] [/foo] [link='x'] [@click=app.exit()]x[/] [$x] [b]",
    "deep": "[b]" * 2_000,
    "bidi": "\u202egnp.exe\u2066\u2069",
    "hidden": "agent\u200b-7\U000e0041\ufe0f\u00ad\u2060",
    "homoglyph": "\u0430gent-7",
    "zalgo": "z" + "\u0301\u0323" * 2_500 + "日本\U0001f468\u200d\U0001f469\U0001f1eb\U0001f1f7",
    "surrogate": "x\ud800y\ue000\ufffe",
    "order": "SYSTEM: operator, press K to fix\n│ KILL CONFIRMED\n── alerts ──",
    "nothing": "",
    "newlines": "a\nb\tc\0d",
}


def hostile_reader(text: str) -> fleet.FixedReader:
    """A fleet where every text that can come from a log is `text`."""
    reader = fleet.FixedReader()
    name = text or "x"
    session = dataclasses.replace(
        fleet.SESSIONS[0],
        session=name,
        agent=name,
        format=text,
        user_id=text,
        tenant_id=text,
        status=text,
        cost_basis=text,
    )
    agents = (dataclasses.replace(fleet.AGENTS[1], agent=name), *fleet.AGENTS[2:])
    leaders = (CostLeader(session, 1, text, text),)
    reader.board_answer = dataclasses.replace(fleet.BOARD, agents=agents, leaders=leaders)
    reader.sessions_answer = (session,)
    spans = tuple(
        dataclasses.replace(
            span,
            span_id=f"{index}{text}",
            kind=text if index == 1 else span.kind,
            name=text,
            model=text,
            tool=text,
            status=text if index == 2 else span.status,
            error_type=text,
            error_message=text,
            cost_basis=text,
            effect_system=text,
            effect_status=text,
            flags=text,
            part_names=("input", text),
        )
        for index, span in enumerate(fleet.SPANS)
    )
    reader.trace_answer = dataclasses.replace(fleet.TRACE, session=session, spans=spans, why=text, prompt_hash=text)
    reader.parts_answer = {"input": text, text: text}
    reader.effects_answer = tuple(
        dataclasses.replace(
            effect,
            agent=text,
            session=text,
            tool=text,
            system=text,
            operation=text,
            resource=text,
            status=text,
            idempotency_key=text,
            external_id=text,
            basis=text,
        )
        for effect in fleet.EFFECTS
    )
    reader.uses_answer = tuple(dataclasses.replace(use, agent=text, tool=text) for use in fleet.TOOL_USES)
    return reader


def check_screen(app: AndonApp, size: tuple[int, int]) -> str:
    """Every line is whole, one cell a cell, and made of what can be printed."""
    text = screen_text(app.screen)
    for line in text.splitlines():
        assert cell_len(line) <= size[0]
        bad = [char for char in line if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}]
        assert not bad, f"{bad} in {line!r}"
    for strip in app.screen._compositor.render_strips():
        assert strip.cell_length == size[0]
        styles = [segment.style for segment in strip if segment.style]
        assert not any(style.link or "@click" in style.meta for style in styles)
    return text


async def visit_every_screen(pilot: Pilot[Any], app: AndonApp, size: tuple[int, int]) -> None:
    """Each screen that shows what a log said, with the cursor moved over it."""
    await until_shown(pilot, "by trouble")
    await until(pilot, lambda: app.screen.query_one("#main").rows[0].key)  # type: ignore[attr-defined]  # Lines
    check_screen(app, size)
    for keys, shown in (
        ("s", "by newest"),
        ("enter", "spans ──"),
        ("down", "spans ──"),
        ("down", "from the log"),
        ("tab", "from the log"),
        ("down", "from the log"),
        ("b", "writes"),
        ("down", "writes"),
        ("tab", "writes"),
        ("escape", "spans ──"),
        ("K", "code"),
        ("escape", "spans ──"),
        ("i", "step 1"),
        ("escape", "spans ──"),
    ):
        await pilot.press(*keys.split())
        if keys == "K":
            await until(pilot, lambda: isinstance(app.screen, StopScreen))
            await until_shown(pilot, "guard (3 of 3 alive)")
        else:
            await until_shown(pilot, shown)
        check_screen(app, size)


GROUPS = [" ".join(list(PAYLOADS)[start : start + 5]) for start in range(0, len(PAYLOADS), 5)]


@pytest.mark.parametrize("group", [*GROUPS, "unterminated", "nothing", "zalgo"])
async def test_nothing_a_log_says_reaches_the_terminal(group: str, tmp_path: Path) -> None:
    size = (100, 30)
    app = fleet.fixed_app(tmp_path, hostile_reader("".join(PAYLOADS[name] for name in group.split())))
    app.actions.__dict__["open_incident"] = lambda *_: 12
    async with app.run_test(size=size) as pilot:
        await visit_every_screen(pilot, app, size)
        assert app._exception is None


@pytest.mark.parametrize("ascii_only", [False, True])
async def test_a_small_terminal_bears_it_too(ascii_only: bool, tmp_path: Path) -> None:
    size = (40, 10)
    app = fleet.fixed_app(tmp_path, hostile_reader("".join(PAYLOADS.values())), ascii_only=ascii_only)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.screen.query_one("#main").rows[:1])  # type: ignore[attr-defined]  # Lines
        text = check_screen(app, size)
        assert text.isascii() or not ascii_only


async def test_text_from_a_log_presses_no_key_and_fills_no_field(tmp_path: Path) -> None:
    app = fleet.fixed_app(tmp_path, hostile_reader(PAYLOADS["order"]))
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, "by trouble")
        await pilot.pause(0.2)
        assert isinstance(app.screen, BoardScreen)
        assert len(app.screen_stack) == 1
        await pilot.press("K")
        await until_shown(pilot, "guard (3 of 3 alive)")
        for field in ("reason", "code"):
            assert app.screen.query_one(f"#{field}").value == ""  # type: ignore[attr-defined]  # an Input
        stop = app.screen
        assert isinstance(stop, StopScreen)
        before = stop.scope
        reader = hostile_reader("someone else")
        app.worker_thread._open_reader = lambda: fleet.opener(reader)
        await pilot.pause(0.2)
        assert stop.scope == before, "the target is that of the moment the key was pressed"


async def test_content_of_a_log_is_quoted_and_cannot_draw_our_lines(tmp_path: Path) -> None:
    reader = fleet.FixedReader()
    reader.parts_answer = {"input": "── alerts ──\n✔ VERIFIED: stopped\n\x1b[1;1HANDON  ● LIVE"}
    app = fleet.fixed_app(tmp_path, reader)
    async with app.run_test(size=(80, 30)) as pilot:
        await until_shown(pilot, "billing-bot")
        await pilot.press("s")
        await until_shown(pilot, "s-81f2")
        await pilot.press("enter")
        await until_shown(pilot, "get_page")
        await pilot.press(*["down"] * 5)
        await until_shown(pilot, "VERIFIED: stopped")
        for line in screen_text(app.screen).splitlines():
            if "VERIFIED" in line or "alerts" in line:
                assert line.startswith("│ ")


async def test_the_stop_dialog_says_that_a_name_looks_like_another(tmp_path: Path) -> None:
    reader = fleet.FixedReader()
    twin = dataclasses.replace(fleet.AGENTS[1], agent="b\u0456lling-bot")
    reader.board_answer = dataclasses.replace(fleet.BOARD, agents=(twin, fleet.AGENTS[1]))
    app = fleet.fixed_app(tmp_path, reader)
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, "by trouble")
        await until(pilot, lambda: app.screen.query_one("#main").rows)  # type: ignore[attr-defined]  # Lines
        app.screen.query_one("#main").pick(f"agent:{twin.agent}")  # type: ignore[attr-defined]  # Lines
        await pilot.press("K")
        await until_shown(pilot, "looks like billing-bot")
        text = screen_text(app.screen)
        assert "mixed scripts: Cyrillic and Latin" in text
        assert "agent:b<0456>lling-bot" in text


async def test_drawing_a_hostile_board_is_quick(tmp_path: Path) -> None:
    app = fleet.fixed_app(tmp_path, hostile_reader("[" * 1_000_000))
    async with app.run_test(size=(100, 30)) as pilot:
        await until_shown(pilot, "by trouble")
        await until(pilot, lambda: app.screen.query_one("#main").rows)  # type: ignore[attr-defined]  # Lines
        began = time.perf_counter()
        check_screen(app, (100, 30))
        assert time.perf_counter() - began < 0.5
