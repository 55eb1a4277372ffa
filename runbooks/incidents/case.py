"""What a bundle is about: a scope or an incident, and everything people decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from store.control import AuditRow, Control, Incident, Note, Step, SwitchRow
from store.folder import StoreError, StoreFolder
from store.record.scope import Scope, ScopeError


@dataclass(frozen=True, slots=True)
class Seen:
    """Every value of each kind of scope that the exported spans name."""

    values: Mapping[str, frozenset[str]]

    def touches(self, scope: Scope) -> bool:
        """True where a stop of `scope` could have hit something in the bundle; `all` always could."""
        return all(value in self.values.get(kind, frozenset()) for kind, value in scope.parts)


@dataclass(frozen=True, slots=True)
class Case:
    """`warnings`: what could not be read, in whole sentences."""

    text: str  # as it was asked for, canonical
    scope: Scope
    incident: Incident | None = None
    notes: tuple[Note, ...] = ()
    steps: Mapping[int, Step] | None = None
    audit: tuple[AuditRow, ...] = ()
    switches: tuple[SwitchRow, ...] = ()
    audit_head: tuple[int, str] | None = None  # number and hash of the newest row of the whole chain
    warnings: tuple[str, ...] = ()


def open_case(folder: StoreFolder, text: str, as_of_ns: int) -> Case:
    """Read `incident:ID` or a scope. ScopeError where it is neither; StoreError where there is no such incident."""
    kind, _, value = text.strip().partition(":")
    if kind != "incident":
        scope = Scope.parse(text)
        return Case(text=str(scope), scope=scope)
    if not (value.isascii() and value.isdigit() and len(value) < 18):
        raise ScopeError(f"{text!r} is no incident: write incident: and its number, for example incident:12")
    with Control(folder, read_only=True) as control:
        incident = control.incident(int(value))
        if incident is None or incident.opened_ns > as_of_ns:
            raise StoreError(f"there is no incident {value}; nothing was exported. List them with andon incidents.")
        notes = tuple(note for note in control.notes(incident.id) if note.at_ns <= as_of_ns)
        steps = {number: step for number, step in control.steps(incident.id).items() if step.done_ns <= as_of_ns}
    return Case(
        text=f"incident:{incident.id}",
        scope=Scope.parse(incident.scope),
        incident=incident,
        notes=notes,
        steps=steps,
    )


def with_decisions(case: Case, folder: StoreFolder, seen: Seen, as_of_ns: int) -> Case:
    """The case with the audit rows and stops that concern it; a store without control.db is a warning, not an end."""
    if not folder.control.exists():
        return _replace(case, warnings=("There is no control.db: nothing is known of what people did.",))
    try:
        with Control(folder, read_only=True) as control:
            rows, switches = control.audit_rows(), control.switch_history()
            bad = control.verify_audit()
    except StoreError as error:
        return _replace(case, warnings=(f"What people did could not be read: {error}",))
    warnings = () if bad is None else (f"The audit chain does not hold: {bad.why}.",)
    rows = tuple(row for row in rows if row.at_ns <= as_of_ns)
    switches = tuple(row for row in switches if row.at_ns <= as_of_ns and _concerns(row.scope, case, seen))
    kills = {row.kill_id for row in switches}
    return _replace(
        case,
        audit=tuple(row for row in rows if _concerns(row.subject, case, seen) or kills & kill_ids(row)),
        switches=switches,
        audit_head=(rows[-1].seq, rows[-1].hash) if rows else None,
        warnings=warnings,
    )


def kill_ids(row: AuditRow) -> set[str]:
    """The stops that an audit row is about."""
    many = row.detail.get("kill_ids")
    found = [row.detail.get("kill_id"), *(many if isinstance(many, list) else [])]
    return {value for value in found if isinstance(value, str)}


def _concerns(subject: str, case: Case, seen: Seen) -> bool:
    if subject in {case.text, str(case.scope)}:
        return True
    try:
        return seen.touches(Scope.parse(subject))
    except ScopeError:  # the subject of an audit row need not be a scope: another incident, a file
        return False


def _replace(
    case: Case,
    *,
    audit: tuple[AuditRow, ...] = (),
    switches: tuple[SwitchRow, ...] = (),
    audit_head: tuple[int, str] | None = None,
    warnings: tuple[str, ...] = (),
) -> Case:
    return Case(
        text=case.text,
        scope=case.scope,
        incident=case.incident,
        notes=case.notes,
        steps=case.steps,
        audit=audit,
        switches=switches,
        audit_head=audit_head,
        warnings=(*case.warnings, *warnings),
    )
