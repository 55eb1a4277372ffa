"""Old guard files: what is proven over goes by itself, what is only silent goes by a person's word."""

from __future__ import annotations

import contextlib

from runbooks.switches.folder import SwitchError, SwitchFolder
from runbooks.switches.guards import GuardFile, guards
from store.control import Actor, Control
from store.folder import StoreFolder

KEEP_NS = 24 * 3600 * 1_000_000_000


def prune(folder: StoreFolder, now_ns: int, *, switches: SwitchFolder | None = None) -> tuple[str, ...]:
    """Remove files of guards that ended, or whose process is proven gone, a day ago; returns their instances.

    One that answered a kill which still stands stays as evidence: the caller prunes again after the re-arming.
    """
    where = SwitchFolder.of(folder, switches)
    standing = {rule.kill_id for rule in where.read().rules}
    removed = []
    for guard in guards(folder, now_ns, switches=where):
        over = guard.life in {"ended", "gone"} and now_ns - guard.heartbeat_ns > KEEP_NS
        if over and not standing & guard.acks.keys():
            with contextlib.suppress(OSError):  # another user's, in a shared folder
                (where.guards / f"{guard.instance}.json").unlink()
                removed.append(guard.instance)
    return tuple(removed)


def forget(
    folder: StoreFolder, instance: str, actor: Actor, reason: str, now_ns: int, *, switches: SwitchFolder | None = None
) -> GuardFile:
    """Stop expecting answers of a silent guard: its host is gone for good, and a person knows it. Audited first.

    SwitchError: no such guard, one that still beats, or no reason. StoreError: no audit row, then it stays.
    """
    where = SwitchFolder.of(folder, switches)
    found = {guard.instance: guard for guard in guards(folder, now_ns, switches=where)}.get(instance)
    if found is None:
        raise SwitchError(f"no guard {instance!r} has a file in {where.guards}; nothing was changed.")
    if found.life == "alive":
        raise SwitchError(f"{instance} is alive: stop it, or end its process; nothing was changed.")
    if not reason.strip():
        raise SwitchError("forgetting a guard needs a reason; nothing was changed.")
    with Control(folder) as control:
        control.audit(actor, "guard.forgotten", instance, {"agent": found.agent, "reason": reason.strip()})
    try:
        (where.guards / f"{found.instance}.json").unlink(missing_ok=True)
    except OSError as error:
        raise SwitchError(
            f"the file of {instance} cannot be removed: {error.strerror}; it is still expected."
        ) from None
    return found
