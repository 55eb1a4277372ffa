"""A wait is a condition: let the app go on until it holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.segment import Segment
from textual.pilot import Pilot
from textual.screen import Screen

from console.widgets.lines import Lines


async def until(pilot: Pilot[Any], holds: Callable[[], object], what: str = "", within_s: float = 20.0) -> None:
    """Run the app until `holds()`; AssertionError with the screen's text when it does not within the time."""
    end_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end_s, f"never came: {what}\n{screen_text(pilot.app.screen)}"
        await pilot.pause(0.01)
    await pilot.pause()


def lines_text(lines: Lines) -> str:
    """What a line widget shows now."""
    strips = [lines.render_line(y) for y in range(lines.size.height)]
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


def screen_text(screen: Screen[Any]) -> str:
    """All text that the compositor would draw."""
    strips = screen._compositor.render_strips()
    return "\n".join("".join(_text(segment) for segment in strip).rstrip() for strip in strips)


def _text(segment: Segment) -> str:
    return "" if segment.control else segment.text


async def until_shown(pilot: Pilot[Any], text: str) -> None:
    """Run the app until this text is on the screen."""
    await until(pilot, lambda: text in screen_text(pilot.app.screen), repr(text))
