"""The one sanitiser of the display, and the warning about names that look alike."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from console.widgets.lookalike import skeleton, warnings
from console.widgets.sanitise import block, cut, fit, one_line

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)  # lone surrogates included


def is_inert(text: str) -> bool:
    """Nothing in it steers a terminal, changes the direction of reading or hides."""
    return all(
        char == " " or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"} for char in text
    )


@given(ANY_TEXT)
def test_whatever_comes_in_one_inert_line_goes_out(text: str) -> None:
    assert is_inert(one_line(text))
    assert all(is_inert(line) for line in block(text))


@given(ANY_TEXT)
def test_ascii_mode_shows_ascii_only(text: str) -> None:
    assert one_line(text, ascii_only=True).isascii()
    assert one_line(text, 7, ascii_only=True).isascii()


@given(ANY_TEXT, st.integers(1, 40))
def test_it_fits_exactly_what_it_is_given(text: str, width: int) -> None:
    assert cell_len(one_line(text, width)) <= width
    assert cell_len(fit(one_line(text, width), width)) == width
    assert all(cell_len(line) <= max(width, 2) for line in block(text, width))


@given(ANY_TEXT)
def test_widths_add_up_cell_by_cell(text: str) -> None:
    clean = one_line(text)
    assert cell_len(clean) == sum(cell_len(char) for char in clean)


def test_an_escape_sequence_becomes_one_sign() -> None:
    assert one_line("a\x1b[2Jb\x1b[1A\x1b[Kc") == "a␛b␛␛c"
    assert one_line("a\x1b]52;c;ZXZpbA==\x07b") == "a␛b"
    assert one_line("a\x9b2Jb") == "a␛b"


def test_an_unterminated_sequence_takes_nothing_with_it() -> None:
    assert one_line("a\x1b]0;title") == "a␛]0;title"
    assert one_line("a\x1bPq") == "a␛Pq"


def test_controls_are_seen() -> None:
    assert one_line("SAFE\rEVIL\n\x7f\x08") == "SAFE␍EVIL␊␡␈"
    assert one_line("\u202eabc\u2066") == "‹202E›abc‹2066›"
    assert one_line("a\u200bb\ufeff\U000e0041") == "a‹200B›b‹FEFF›‹E0041›"
    assert one_line("x\ud800y") == "x‹D800›y"


def test_marks_are_capped_and_never_sit_on_our_own_text() -> None:
    assert one_line("a" + "\u0301" * 5_000) == "a\u0301\u0301……"
    assert one_line("\u0301a") == "◌\u0301a"


def test_markup_is_text() -> None:
    text = "[/] [@click=app.kill('x')] [$x] [link='"
    assert one_line(text) == text


@pytest.mark.parametrize("text", ["[" * 1_000_000, "[b]" * 2_000, "\x07" * 10_000, "a" + "\u0301" * 500_000])
def test_size_costs_nothing(text: str) -> None:
    began = time.perf_counter()
    one_line(text, 40)
    one_line(text)
    assert time.perf_counter() - began < 0.05


def test_a_block_keeps_its_lines_and_says_what_it_leaves_out() -> None:
    assert block("a\r\n\tb\nc") == ["a", "    b", "c"]
    assert block("\x1b[31mred\x1b[0m") == ["red"]
    assert block("x" * 30, 10, limit=20) == ["x" * 10, "x" * 10, "… 10 more characters"]
    assert block("one two three", 8) == ["one two", "three"]


def test_cutting_says_so() -> None:
    assert one_line("billing-bot", 7) == "billin…"
    assert one_line("billing-bot", 7, ascii_only=True) == "billin~"
    assert cut("日本語", 4) == "日…"
    assert one_line("anything", 0) == ""


def test_names_that_look_alike_have_one_skeleton() -> None:
    assert skeleton("agent-7") == skeleton("\u0430gent-7") == skeleton("agent\u200b-7") == skeleton("аgent‑7")
    assert skeleton("modern") == skeleton("modem") == skeleton("rnodem")
    assert skeleton("agent-7") != skeleton("agent-8")


def test_a_warning_names_what_is_odd() -> None:
    known = ["agent-7", "billing-bot"]
    assert warnings("billing-bot", known) == ()
    assert warnings("\u0430gent-7", known) == ("mixed scripts: Cyrillic and Latin", "looks like agent-7")
    assert warnings("agent-7\u202e", known) == ("1 hidden characters in the name", "looks like agent-7")
