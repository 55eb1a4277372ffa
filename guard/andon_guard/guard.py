"""The guard: decides before each call, and answers kills with a heartbeat file from a thread of its own."""

from __future__ import annotations

import atexit
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass

from andon_guard import heartbeat, switches
from andon_guard.action import Action
from andon_guard.errors import Denied, GuardError, Halted
from andon_guard.process import this_process
from andon_guard.switches import Missing, Rule, Signature, Unverified

BEAT_EVERY_S = 2.0
LOOK_EVERY_S = 0.25
UNVERIFIED = "blocked: unverified"
ENVIRONMENT = "ANDON_SWITCHES"
_SETTLED_NS = 50_000_000  # kernel time stamps advance in steps of up to 10 ms; younger ones may hide a second change
_LISTED = 1_000  # actions in flight that are remembered
_LISTED_UNTRACKED = 64
_guards: weakref.WeakSet[Guard] = weakref.WeakSet()
_numbers = itertools.count(1)


@dataclass(slots=True)
class _Ack:
    """What this instance answers to one kill."""

    rule: Rule
    rest: tuple[tuple[str, str], ...]  # the conditions besides the agent
    seen_ns: int
    seen_monotonic_ns: int
    last_action: int  # the last action begun before the kill was seen
    holding: bool = True


class Guard:
    """Made once per agent and process, before its first call.

    `folder` is the switch folder; default the environment variable ANDON_SWITCHES. `trusted_uids` may own
    the switch files besides this process's user and root. `fail_open=True` lets calls through when the
    folder cannot be verified; the console shows that as long as the process lives. GuardError where the
    folder is not there or was never initialised. Threads may share a guard; a forked child becomes an
    instance of its own.
    """

    def __init__(
        self,
        *,
        agent: str,
        folder: str | os.PathLike[str] | None = None,
        trusted_uids: Iterable[int] = (),
        fail_open: bool = False,
    ) -> None:
        if not agent:
            raise GuardError("a guard needs the name of its agent, as its logs have it")
        where = os.fspath(folder) if folder is not None else os.environ.get(ENVIRONMENT, "")
        if not where:
            raise GuardError(f"no switch folder: pass folder=, or set {ENVIRONMENT}")
        self.agent = agent
        self.folder = os.path.abspath(os.path.expanduser(where))  # noqa: PTH100, PTH111 - resolve() follows symlinks
        self.fail_open = fail_open
        self.trouble: str | None = None  # why the last heartbeat was not written
        self._paths = (self.folder, f"{self.folder}/{switches.FILE}", f"{self.folder}/{switches.KILLS}")
        self._trusted = frozenset({os.geteuid(), 0, *trusted_uids})
        self._blocked: str | None = None
        self._signature: Signature | None = None
        self._acks: dict[str, _Ack] = {}
        self._ended = False
        self._become_an_instance()
        self._refuse_missing()
        self._look()
        self._write()
        self._start_thread()
        _guards.add(self)

    @property
    def instance(self) -> str:
        """`<host>-<pid>-<start>`; what an agent logs as guard.instance."""
        return self._instance

    def check(
        self,
        kind: str,
        *,
        session: str | None = None,
        tool: str | None = None,
        user: str | None = None,
        tenant: str | None = None,
    ) -> Action:
        """Call before each model call (`kind="llm"`) and each tool call (`kind="tool"`); any other is as a tool.

        Returns the numbered action, or raises Halted (Denied for `deny_tools`) and then nothing may be
        started. Raises nothing else. A stop of a session, user or tenant can only be held where the check
        is told them.
        """
        values = {"session": session, "tool": tool, "user": user, "tenant": tenant}
        if not self._thread_started:  # the first check after a fork
            self._start_thread()
        with self._lock:
            if self._ended:
                raise Halted(f"{UNVERIFIED}: this guard was closed")
            self._look()
            if self._blocked is not None and not self.fail_open:
                raise Halted(self._blocked)
            if self._acks:
                self._decide(kind, values)
            self._count += 1
            action = Action(self._instance, self._count, kind, values, self._begin, self.done)
            self._open[self._count] = action
            if len(self._open) > (_LISTED if self._ends_reported else _LISTED_UNTRACKED):
                del self._open[next(iter(self._open))]
            return action

    def done(self, action: Action | int) -> None:
        """The call has ended, in whatever way."""
        number = action if isinstance(action, int) else action.action
        with self._lock:
            self._ends_reported = True
            if isinstance(action, int) or action.instance == self._instance:
                self._open.pop(number, None)

    def close(self) -> None:
        """Say that this instance has ended. Every later check raises Halted."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._wake.set()
        if self._thread_started:  # a forked child that never checked was no instance
            self._write()

    # --- deciding; the caller holds the lock ---

    def _decide(self, kind: str, values: dict[str, str | None]) -> None:
        hits = [ack.rule for ack in self._acks.values() if self._hit(ack, kind, values)]
        for rule in hits:
            if rule.verb == "halt":
                raise Halted(rule.reason, kill_id=rule.kill_id, scope=rule.scope, verb=rule.verb, by=rule.by)
        for rule in hits:
            if kind != "llm":
                raise Denied(rule.reason, kill_id=rule.kill_id, scope=rule.scope, verb=rule.verb, by=rule.by)

    def _hit(self, ack: _Ack, kind: str, values: dict[str, str | None]) -> bool:
        """A condition this check says nothing about cannot be held: the answer to the kill says so from now on."""
        untold = False
        for name, value in ack.rest:
            given = values[name]
            if given is None:
                if name == "tool" and kind == "llm":
                    return False
                untold = True
            elif str(given) != value:
                return False
        if untold and (kind != "llm" or ack.rule.verb == "halt"):
            ack.holding = False
            self._wake.set()
        return not untold

    def _look(self) -> None:
        """Read the folder again where it changed since it was read, or so lately that it might have."""
        try:
            found: Signature | None = switches.signature(*self._paths)
        except OSError:
            found = None
        if found != self._signature or not self._settled or found is None:
            self._read(found)

    def _read(self, found: Signature | None) -> None:
        try:
            rules = switches.read_folder(self.folder, self._trusted).rules
        except Unverified as error:
            self._blocked = f"{UNVERIFIED}: {error}"  # what is known to be killed stays killed, even when failing open
            self._signature, self._settled = found, False
            return
        self._blocked = None
        self._signature = found
        now_ns = time.time_ns()
        self._settled = found is not None and all(
            abs(now_ns - at_ns) > _SETTLED_NS for at_ns in (found[0], found[2], found[5])
        )
        mine = {rule.kill_id: rule for rule in rules if rule.touches_agent(self.agent)}
        for gone in self._acks.keys() - mine.keys():
            del self._acks[gone]
        for kill_id in mine.keys() - self._acks.keys():
            rule = mine[kill_id]
            rest = tuple(part for part in rule.parts if part[0] != "agent")
            self._acks[kill_id] = _Ack(rule, rest, now_ns, time.monotonic_ns(), self._count)
            self._wake.set()

    def _begin(self, action: Action) -> None:
        with self._lock:
            self._ends_reported = True
            if action.instance == self._instance:
                self._open[action.action] = action

    # --- life: the thread, the heartbeat, a fork ---

    def _become_an_instance(self) -> None:
        number = next(_numbers)
        self._process = this_process()
        # two guards of one process are two instances
        self._instance = self._process.name if number == 1 else f"{self._process.name}-{number}"
        self._lock = threading.RLock()  # a signal handler may check, too
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._thread_started = False
        self._started_ns = time.time_ns()
        self._count = 0
        self._beats = 0
        self._open: dict[int, Action] = {}
        self._ends_reported = False
        self._ended = False
        self._signature = None
        self._settled = False
        self._acks.clear()

    def _refuse_missing(self) -> None:
        if self.fail_open:
            return
        try:
            switches.read_folder(self.folder, self._trusted)
            os.lstat(f"{self.folder}/{switches.GUARDS}")
        except (Missing, FileNotFoundError) as error:
            raise GuardError(
                f"the switch folder is not initialised: {error}. "
                "Start `andon` or `andon collect` once with this store, or run `andon switches init`."
            ) from None
        except Unverified:
            pass  # it is there: the guard starts, and blocks

    def _start_thread(self) -> None:
        self._thread_started = True
        threading.Thread(target=self._run, name="andon-guard", daemon=True).start()

    def _run(self) -> None:
        due = time.monotonic() + BEAT_EVERY_S
        said: object = None
        wake = self._wake  # a forked child has an event of its own, and this thread is not in it
        while not self._ended:
            wake.wait(LOOK_EVERY_S)
            wake.clear()
            beat = time.monotonic() >= due
            with self._lock:
                if beat:
                    self._beats += 1
                    self._settled = False  # look behind the signature too, once a beat
                self._look()
                says = self._says()
            if beat or says != said:
                said = says
                self._write()
            if beat:
                due = max(due + BEAT_EVERY_S, time.monotonic())

    def _says(self) -> object:
        """What the console must hear of at once; the rest waits for the next beat."""
        if not self._acks:
            return self._blocked
        return self._blocked, tuple((key, ack.holding) for key, ack in self._acks.items()), tuple(self._open)

    def _write(self) -> None:
        with self._writing:
            with self._lock:
                document = self._document()
            try:
                heartbeat.write(self.folder, self._instance, document)
                self.trouble = None
            except OSError as error:  # the agent goes on: a guard that cannot answer is shown as silent
                self.trouble = f"no heartbeat can be written: {error}"

    def _document(self) -> dict[str, object]:
        now_ns, process = time.time_ns(), self._process
        return {
            "schema": heartbeat.SCHEMA,
            "instance": self._instance,
            "agent": self.agent,
            "host": process.host,
            "pid": process.pid,
            "start": process.start,
            "uid": process.uid,
            "boot_id": process.boot_id,
            "machine_id": process.machine_id,
            "pid_namespace": process.pid_namespace,
            "started_at": switches.iso(self._started_ns),
            "heartbeat_at": switches.iso(now_ns),
            "beats": self._beats,
            "last_action": self._count,
            "fail_open": self.fail_open,
            "blocked": self._blocked,
            "ended_at": switches.iso(now_ns) if self._ended else None,
            "acks": [self._answer(ack) for ack in self._acks.values()],
        }

    def _answer(self, ack: _Ack) -> dict[str, object]:
        open_actions = list(self._open.values())
        if not self._ends_reported:  # nobody says when a call ends: only the newest can be in flight
            open_actions = open_actions[-1:]
        return {
            "kill_id": ack.rule.kill_id,
            "seen_at": switches.iso(ack.seen_ns),
            "held_ms": (time.monotonic_ns() - ack.seen_monotonic_ns) // 1_000_000,
            "holding": ack.holding,
            "in_flight": [
                str(action)
                for action in open_actions
                if all(action.values[name] in {None, value} for name, value in ack.rest)
            ],
            "last_action": ack.last_action,
        }


def _after_fork_in_child() -> None:
    """Threads and locks do not survive a fork; the thread starts with the child's first check."""
    global _numbers  # noqa: PLW0603 - the child counts its own guards
    _numbers = itertools.count(1)
    for guard in list(_guards):
        guard._become_an_instance()


def _at_exit() -> None:
    for guard in list(_guards):
        guard.close()


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
