"""`andon kill`, `andon arm`, `andon switches`: they need no console, no collector and no readable store.

What a missing collector or store costs is proof, not the stop: the state then goes no further than `acked`.
"""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING

import click

from console.cli.options import Refused, Settings, common_options, require_store
from console.cli.output import json_option, print_json, say
from console.widgets import figures
from store.folder import StoreError, StoreFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from console.cli.schemas import StopShape
    from runbooks.switches.model import Kill, StopProgress
    from store.record.scope import Scope

POLL_S = 0.1
VERIFY_AT_MOST_S = 60.0
_SETTLED = frozenset({"verified", "leak", "rearmed"})


class Wait(click.ParamType[float]):
    """Seconds, or `verified`: until it is verified, at most a minute."""

    name = "SECONDS|verified"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        if value == "verified":
            return VERIFY_AT_MOST_S
        try:
            seconds = float(str(value).removesuffix("s"))
        except ValueError:
            self.fail(f"{value!r}: write a number of seconds, or verified", param, ctx)
        if not 0 <= seconds <= 3600:
            self.fail("wait 0 to 3600 seconds", param, ctx)
        return seconds


@click.command("kill")
@click.argument("scope")
@click.option("--reason", required=True, help="Why; it is audited and shown to the agent.")
@click.option("--wait", type=Wait(), default=5.0, show_default=True, help="How long to watch for proof.")
@click.option("--verb", type=click.Choice(["halt", "deny_tools"]), default="halt", help="What the guards do.")
@json_option
@common_options
def kill_command(settings: Settings, scope: str, reason: str, wait: float, verb: str, as_json: bool) -> int:
    """Stop a scope. Exit 0: the stop is written and nothing leaked; the state says how far it is proven."""
    from runbooks.switches.publish import stop
    from store.control.actor import Actor

    if not reason.strip():
        raise click.UsageError("--reason must say something")
    raw = settings.raw_scope(scope)
    folder = _folder_of_a_stop(settings)
    stored = _stored_or_raw(settings, raw)
    _warn_if_unknown(settings, raw, stored)
    kill, written_ms = stop(folder, stored, verb=verb, actor=Actor.current(), reason=reason, raw_scope=raw)
    last: StopProgress | None = None
    for progress in _watch(settings, kill, written_ms, wait):
        if not as_json and (last is None or progress.state != last.state):
            say(_line(progress))
        last = progress
    assert last is not None
    if as_json:
        print_json(stop_shape(last))
    else:
        _print_details(last)
    return 1 if last.state == "leak" else 0


@click.command("arm")
@click.argument("scope")
@click.option("--reason", required=True, help="Why it may run again; it is audited.")
@json_option
@common_options
def arm_command(settings: Settings, scope: str, reason: str, as_json: bool) -> int:
    """Let a scope that is off (or one kill id) run again. It starts nothing by itself."""
    from runbooks.switches.folder import SwitchError
    from runbooks.switches.publish import rearm
    from store.control.actor import Actor

    folder = require_store(settings)
    target = scope if scope.startswith(("k-", "STOP-")) else settings.raw_scope(scope)
    try:
        taken = rearm(folder, target, Actor.current(), reason)
    except SwitchError as error:
        raise Refused(str(error), exit_code=1) from None
    if as_json:
        print_json([stop_shape(look(settings, kill, None)) for kill in taken])
    else:
        for kill in taken:
            say(f"RE-ARMED {kill.shown or kill.scope} ({kill.kill_id}): it may run again; nothing was started")
    return 0


@click.group("switches", invoke_without_command=True)
@json_option
@common_options
def switches_command(settings: Settings, as_json: bool) -> int:
    """Every standing stop and how far it is proven."""
    from runbooks.switches.folder import SwitchFolder
    from runbooks.switches.publish import standing

    if click.get_current_context().invoked_subcommand is not None:
        return 0
    where = SwitchFolder.of(settings.folder)
    progresses = [look(settings, kill, None) for kill in standing(settings.folder)]
    if as_json:
        from console.cli.schemas import SwitchesShape

        print_json(SwitchesShape(folder=str(where.path), switches=[stop_shape(one) for one in progresses]))
        return 0
    say(f"{where.path}: {figures.plural(len(progresses), 'standing stop')}")
    for progress in progresses:
        kill = progress.kill
        say(f"{_line(progress)}  {figures.age(time.time_ns() - kill.at_ns)} ago by {kill.by}: {kill.reason}")
        _print_details(progress)
    return 0


@switches_command.command("init")
@common_options
def init_command(settings: Settings) -> int:
    """Make the switch folder that guards need to start."""
    from runbooks.switches.publish import initialise

    made = initialise(require_store(settings))
    say(f"{settings.folder.switches} {'is ready' if made else 'was ready already'}")
    return 0


@switches_command.command("forget")
@click.argument("instance")
@click.option("--reason", required=True, help="Why it cannot be running any more; it is audited.")
@common_options
def forget_command(settings: Settings, instance: str, reason: str) -> int:
    """Stop waiting for a silent guard whose host is gone. A guard that is alive is never forgotten."""
    from runbooks.switches.folder import SwitchError
    from runbooks.switches.tidy import forget
    from store.control.actor import Actor

    try:
        forget(require_store(settings), instance, Actor.current(), reason, time.time_ns())
    except SwitchError as error:
        raise Refused(str(error), exit_code=1) from None
    say(f"{instance} is no longer waited for")
    return 0


def look(settings: Settings, kill: Kill, written_ms: float | None) -> StopProgress:
    """How far the kill has come now, with the logs as witness where the store can be read."""
    from runbooks.switches import witness

    try:
        reader = settings.reader()
    except StoreError:
        return witness.look(settings.folder, kill, time.time_ns(), None, written_ms=written_ms)
    with reader:
        return witness.look(settings.folder, kill, time.time_ns(), reader, written_ms=written_ms)


def _watch(settings: Settings, kill: Kill, written_ms: float, wait_s: float) -> Iterator[StopProgress]:
    """Look until it is settled or `wait_s` is over; at least once."""
    deadline = time.monotonic() + wait_s
    while True:
        progress = look(settings, kill, written_ms)
        yield progress
        if progress.state in _SETTLED or time.monotonic() >= deadline:
            return
        time.sleep(min(POLL_S, max(0.0, deadline - time.monotonic())))


def _folder_of_a_stop(settings: Settings) -> StoreFolder:
    """The store folder, prepared where that works; a stop needs no more of it than the switches."""
    try:
        return require_store(settings)
    except StoreError:
        if settings.read_only or not settings.folder.switches.is_dir():
            raise
        return settings.folder


def _stored_or_raw(settings: Settings, scope: Scope) -> Scope:
    """A stop never waits for the store, nor for rules that are wrong."""
    try:
        try:
            return settings.stored_scope(scope)
        except Refused as error:
            click.echo(f"andon: {error.format_message()}; the scope is redacted by Andon's own rules alone", err=True)
            return settings.stored_scope(scope, own_rules_only=True)
    except (OSError, StoreError) as error:
        click.echo(f"andon: the redaction key cannot be read ({error}); the scope is stored as it was typed", err=True)
        return scope


def _warn_if_unknown(settings: Settings, raw: Scope, stored: Scope) -> None:
    """A scope that nothing known matches is stopped all the same, with a warning and the names it may have meant."""
    from runbooks.switches.guards import guards

    agent = raw.get("agent")
    if not raw.parts:
        return
    known: set[str] = set()
    try:
        known |= set(settings.registry().agents)
    except Refused as error:
        click.echo(f"andon: {error.format_message()}", err=True)
    known |= {guard.agent for guard in guards(settings.folder, time.time_ns()) if guard.agent}
    seen = False
    try:
        with settings.reader() as reader:
            seen = reader.knows(stored)
            known |= set(reader.agents())
    except StoreError:
        return  # without a store nothing can be said about what is known
    if seen or (agent in known and len(raw.parts) == 1):
        return
    near = difflib.get_close_matches(agent, sorted(known), 3) if agent else []
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    click.echo(f"andon: warning: nothing known matches {raw}{hint} The stop is written all the same.", err=True)


def _line(progress: StopProgress) -> str:
    words = {"written": "WRITTEN", "acked": "ACKED", "verified": "VERIFIED", "quiet": "QUIET", "leak": "LEAK"}
    state = words.get(progress.state, progress.state.upper().replace("_", " "))
    seconds = ""
    for ms in (progress.verified_ms, progress.acked_ms, progress.written_ms):
        if ms is not None:
            seconds = f" +{ms / 1000:.3f}s"
            break
    guards = f"  {progress.acked} of {len(progress.answers)} guards" if progress.answers else "  no guard known"
    note = f"  ({progress.note})" if progress.note else ""
    return f"{state}{seconds}  {progress.kill.shown or progress.kill.scope}  {progress.kill.kill_id}{guards}{note}"


def _print_details(progress: StopProgress) -> None:
    for answer in progress.answers:
        extra = f"  {answer.note}" if answer.note else ""
        say(f"  {answer.state:8} {answer.instance} {answer.agent}{extra}")
    for action in progress.in_flight:
        say(f"  in flight at the stop: {action}")
    for leak in progress.leaks:
        say(f"  LEAK: action {leak} began after the guard said that it holds")


def stop_shape(progress: StopProgress) -> StopShape:
    """A stop as `--json` says it."""
    from console.cli.schemas import AckShape, StopShape

    kill = progress.kill
    return StopShape.model_validate(
        {
            "kill_id": kill.kill_id,
            "scope": kill.shown or kill.scope,
            "verb": kill.verb,
            "state": progress.state,
            "written_ms": progress.written_ms,
            "acked_ms": progress.acked_ms,
            "verified_ms": progress.verified_ms,
            "acks": [
                AckShape.model_validate(
                    {
                        "instance": answer.instance,
                        "agent": answer.agent,
                        "host": answer.host,
                        "pid": answer.pid,
                        "state": answer.state,
                        "seen": answer.seen_ns,
                        "heartbeat": answer.heartbeat_ns,
                        "in_flight": list(answer.in_flight),
                        "last_action": answer.last_action,
                    }
                )
                for answer in progress.answers
            ],
            "in_flight": list(progress.in_flight),
            "leaks": list(progress.leaks),
            "by": kill.by,
            "at": kill.at_ns,
            "reason": kill.reason,
            "note": progress.note,
        }
    )
