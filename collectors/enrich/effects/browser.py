"""Browser and computer tools: looking reads, whatever clicks or types may have done anything to the page's owner."""

from __future__ import annotations

import re
from typing import Any

from collectors.enrich.effects import http
from collectors.enrich.effects.verdict import READ_BY_ARGUMENT, READ_BY_NAME, Verdict, one
from collectors.enrich.effects.words import words

SERVERS = frozenset(
    {
        "playwright",
        "puppeteer",
        "browser",
        "chrome-devtools",
        "chrome_devtools",
        "browsermcp",
        "browserbase",
        "selenium",
    }
)
_NAME = re.compile(
    r"(?:browser|playwright|puppeteer|page|chrome)_(\w+)|(computer|computer_use|browser|browse|browser_use)"
)
_LOOKS = words(
    """
    navigate navigate_back navigate_forward goto go_back go_forward back forward snapshot take_screenshot
    screenshot take_snapshot console_messages network_requests wait wait_for scroll scroll_up scroll_down hover
    mouse_move cursor_position tabs tab_list new_page list_pages select_page resize view extract get_text
    get_content read zoom open noop observe tab_new tab_select tab_close close pdf_save list_console_messages
    list_network_requests get_console_message get_network_request left_mouse_down_noop
    """
)
_CALLS = re.compile(r"\b([a-z_]+)\(")
_TARGETS = ("element", "selector", "ref", "uid", "text", "coordinate")


def judge(low: str, arguments: dict[str, Any] | None) -> Verdict | None:
    """A browser tool by its name, its operation by its name or its `action`; None where it is none."""
    match = _NAME.fullmatch(low)
    if match is None:
        return None
    if match[1] is not None:
        operations, by_argument = [match[1]], False
    else:
        operations, by_argument = _operations(arguments), True
    if match[2] == "browse" and not operations:
        return READ_BY_NAME
    acts = [one for one in operations if one not in _LOOKS]
    if operations and not acts:
        return READ_BY_ARGUMENT if by_argument else READ_BY_NAME
    basis = "unknown" if not acts else "argument" if by_argument or arguments else "name"
    return one("browser", acts[0] if acts else low, _target(arguments), "unknown", basis=basis)


def _operations(arguments: dict[str, Any] | None) -> list[str]:
    if not arguments:
        return []
    for key in ("action", "command", "operation", "type"):
        if isinstance(value := arguments.get(key), str) and value:
            return [value]
    if isinstance(code := arguments.get("code") or arguments.get("browser_actions"), str):
        return _CALLS.findall(code)[:50]
    return ["goto"] if "url" in arguments else []


def _target(arguments: dict[str, Any] | None) -> str | None:
    if not arguments:
        return None
    if isinstance(url := arguments.get("url"), str) and url:
        return http.place(url)
    found = next((value for key in _TARGETS if isinstance(value := arguments.get(key), str) and value), None)
    return found[:200] if found else None
