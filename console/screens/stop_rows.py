"""What the Stop dialog says: whom a stop hits, who can confirm it, and how far it is proven. No Textual here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from console.questions import StopFacts
from console.target import scope_text
from console.views import GuardLine
from console.widgets import figures, lookalike
from console.widgets.rows import Cell, Row, text_row
from console.widgets.sanitise import one_line
from runbooks.switches.model import Answer, StopProgress
from store.record.scope import Scope
from store.registry.model import Registry
from store.telemetry.views import EffectRow

LABEL = 9
WRITES_NAMED = 2


def _line(label: str, *cells: Cell | str) -> Row:
    return text_row(Cell(f"{label:<{LABEL}}", "dim"), *cells)


def target_rows(scope: Scope, registry: Registry) -> list[Row]:
    """Who is hit: the name as it is, the name in ASCII, and who answers for it."""
    rows = [_line("stops", Cell(scope_text(scope), "strong"))]
    text = str(scope)
    if not text.isascii():
        rows.append(_line("id", Cell(one_line(text, ascii_only=True), "warn")))
    agent = scope.get("agent")
    entry = registry.agents.get(agent) if agent is not None else None
    if entry is not None:
        rows.append(
            _line(
                "owner",
                f"{entry.owner or '?'} · on call {entry.on_call or '?'}   may stop: {entry.may_stop or 'not said'}",
                Cell(f"   {entry.environment.upper()}" if entry.environment else "", "strong"),
            )
        )
    elif agent is not None:
        rows.append(_line("owner", Cell("not declared in agents.toml", "warn")))
    return rows


def fact_rows(facts: StopFacts) -> list[Row]:
    """What it hits and how it will be known to have stopped."""
    activity = facts.activity
    runs, sessions = figures.plural(activity.running_runs, "run"), figures.plural(activity.sessions, "session")
    rows = [_line("hits", f"{runs}, {sessions} · in flight: ", _writes(activity.open_writes))]
    if facts.problem is not None:
        rows = [_line("hits", Cell(f"? not known: {facts.problem}", "warn"))]
    rows.append(_line("by", *_guards(facts.guards)))
    if not facts.collector.alive:
        rows.append(_line("", Cell("! nobody collects: the stop can be ACKED, never VERIFIED", "warn")))
    agent = facts.scope.get("agent")
    if agent is not None:
        found = lookalike.warnings(agent, facts.agents)
        rows.extend(_line("look", Cell(f"! {warning}", "bad")) for warning in found)
    return rows


def _writes(writes: Sequence[EffectRow]) -> Cell:
    if not writes:
        return Cell("no write")
    names = ", ".join(f"{write.tool or write.operation or '?'} → {write.system}" for write in writes[:WRITES_NAMED])
    more = f" and {len(writes) - WRITES_NAMED} more" if len(writes) > WRITES_NAMED else ""
    return Cell(f"{figures.plural(len(writes), 'write')} ({names}{more})", "warn")


def _guards(guards: Sequence[GuardLine]) -> list[Cell | str]:
    if not guards:
        return [
            Cell("? no guard known: ", "warn"),
            "it may be seen to go quiet, it cannot be proven stopped from here",
        ]
    alive = sum(guard.alive for guard in guards)
    hosts = Counter(guard.host for guard in guards)
    places = ", ".join(f"{host} ({number})" for host, number in sorted(hosts.items()))
    return [Cell(f"guard ({alive} of {len(guards)} alive)", "" if alive == len(guards) else "warn"), f"  on {places}"]


STATE_WORDS = {
    "requested": ("…", "REQUESTED", "warn"),
    "written": ("…", "WRITTEN, waiting for an answer", "warn"),
    "acked": ("◐", "ACKED, waiting for proof", "warn"),
    "verified": ("✔", "VERIFIED: stopped", "strong"),
    "quiet": ("?", "QUIET: nothing seen since, not proven", "warn"),
    "not_confirmed": ("✖", "NOT CONFIRMED", "bad"),
    "leak": ("✖", "LEAK: something started after the stop", "bad"),
    "rearmed": ("!", "RE-ARMED: it may run again", "warn"),
}


def progress_rows(progress: StopProgress, now_ns: int, zone: str) -> list[Row]:
    """How far it is proven, who has not answered, and what was in flight."""
    kill = progress.kill
    marks = f"REQUESTED {figures.clock(kill.at_ns, zone, millis=True)}"
    if progress.written_ms is not None:
        marks += f"  WRITTEN +{progress.written_ms / 1e3:.3f}s"
    if progress.answers:
        marks += f"  ACKED {progress.acked} of {len(progress.answers)}"
        if progress.acked_ms is not None:
            marks += f" +{progress.acked_ms / 1e3:.1f}s"
    glyph, words, tone = STATE_WORDS.get(progress.state, ("?", progress.state, "warn"))
    if progress.state == "verified" and kill.verb == "deny_tools":
        words = "VERIFIED: tools denied; model calls go on"
    since = (
        f"+{progress.verified_ms / 1e3:.1f}s"
        if progress.verified_ms is not None
        else figures.duration(max(0, now_ns - kill.at_ns))
    )
    rows = [text_row(marks), text_row(Cell(f"{glyph} {words}", tone), Cell(f"   {since}"))]
    if progress.note:
        rows.append(text_row(Cell(f"  {progress.note}", "dim")))
    rows += [_leak_row(leak) for leak in progress.leaks]
    rows += [_answer_row(answer, now_ns) for answer in progress.answers]
    rows += [text_row(Cell("  in flight  ", "dim"), words) for words in progress.in_flight]
    return rows


def _leak_row(leak: str) -> Row:
    return text_row(Cell("✖ after the stop: ", "bad"), Cell(leak, "bad"))


def _answer_row(answer: Answer, now_ns: int) -> Row:
    words = {
        "holding": ("✔", "holding", ""),
        "gone": ("✔", "its process is gone", ""),
        "running": ("!", "alive, has not answered yet", "warn"),
        "silent": ("✖", "SILENT, look for it on its host", "bad"),
    }
    glyph, text, tone = words.get(answer.state, ("?", answer.state, "warn"))
    beat = (
        ""
        if answer.heartbeat_ns is None or answer.state == "gone"
        else f", seen {figures.age(max(0, now_ns - answer.heartbeat_ns))} ago"
    )
    note = f" ({answer.note})" if answer.note and answer.state in {"holding", "gone"} else ""
    return text_row(Cell(f"{glyph} ", tone), f"{answer.host} pid {answer.pid}  ", Cell(text + note + beat, tone))
