"""The mark of a choice says which field takes the keys: it must never be one field behind."""

from __future__ import annotations

from textual.app import App, ComposeResult

from console.widgets.fields import Choice


class TwoFields(App[None]):
    def compose(self) -> ComposeResult:
        yield Choice(["one", "two"], id="first")
        yield Choice(["three", "four"], id="second")


async def test_exactly_the_focused_field_is_marked() -> None:
    app = TwoFields()
    async with app.run_test() as pilot:
        for focused in ("first", "second", "first"):
            app.query_one(f"#{focused}", Choice).focus()
            await pilot.pause()
            marked = [
                choice.id for choice in app.query(Choice) if any("▶" in cell.text for cell in choice.rows[0].cells)
            ]
            assert marked == [focused]
