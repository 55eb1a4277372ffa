"""Open the console in this terminal. Nothing of Textual is imported before its environment is set."""

from __future__ import annotations

import os

from console.context import Context

READ_LIMIT_S = 2.0  # a question that takes longer is given up: a reader at work keeps the writer's log growing


def run_console(context: Context, *, for_s: float | None = None) -> int:
    """Run until the operator leaves, a signal ends it, or `for_s` seconds are over; 0, or 1 where it failed."""
    remote = bool(os.environ.get("SSH_TTY") or os.environ.get("SSH_CONNECTION"))
    os.environ.setdefault("TEXTUAL_FPS", "10" if remote else "30")
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")

    from console.app import AndonApp
    from store.telemetry.reader import Reader

    app = AndonApp(context, open_reader=lambda: Reader(context.store, limit_s=READ_LIMIT_S), for_s=for_s)
    app.run(mouse=not remote)
    return app.return_code or 0
