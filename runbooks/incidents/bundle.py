"""Export a scope or an incident as one file that can be opened, checked and handed on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import BinaryIO

import msgspec

from runbooks.effects.blast import Blast, blast
from runbooks.incidents.case import Case, kill_ids, open_case, with_decisions
from runbooks.incidents.container import ContainerError, ContainerWriter, Packed
from runbooks.incidents.manifest import MANIFEST, SUM, AuditHead, Counts, Manifest, Member, json_bytes, sum_line
from runbooks.incidents.newfile import BundleError, new_file
from runbooks.incidents.report import Reported, report
from runbooks.incidents.text import code
from runbooks.incidents.timeline import Entry, in_order, of_audit, of_effects, of_span, of_switches
from runbooks.incidents.totals import Totals
from runbooks.incidents.verify import Verification, verify_bundle
from store.control import Actor, AuditRow, Control, Incident
from store.folder import StoreError, StoreFolder
from store.record.span import Span
from store.record.window import Window, iso
from store.registry.model import Registry
from store.telemetry.evidence import Evidence
from store.telemetry.reader import Reader

__all__ = ["BundleError", "ExportResult", "Verification", "default_name", "export_bundle", "verify_bundle"]

Redact = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class ExportResult:
    """`sha256` is of the file, `manifest_sha256` the bundle's identity. `warnings` are whole sentences."""

    path: Path
    sha256: str
    manifest_sha256: str
    size_bytes: int
    members: tuple[str, ...]
    spans: int
    effects: int
    sessions: int
    warnings: tuple[str, ...]


def default_name(scope_text: str, as_of_ns: int) -> str:
    """A file name that any scope text, however hostile, can only make longer or shorter, never steer.

    The eight hex digits keep apart scopes that read alike once slugged.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", scope_text.lower()).strip("-")[:48].strip("-") or "scope"
    mark = hashlib.sha256(scope_text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    when = datetime.fromtimestamp(as_of_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"andon-{slug}-{mark}-{when}.zip"


def export_bundle(
    folder: StoreFolder,
    scope_text: str,
    out: Path,
    *,
    registry: Registry,
    as_of_ns: int,
    actor: Actor,
    window: Window | None = None,
    redact: Redact | None = None,
) -> ExportResult:
    """Write everything known of a scope, or of `incident:ID`, up to `as_of_ns` into the new file `out` (0600).

    The same store and the same moment give the same bytes. `redact` goes over what operators typed; what agents
    logged is redacted already. ScopeError, StoreError, or BundleError where the file cannot be made; then there
    is none. The export is an audit row; where that cannot be written the result's `warnings` say so.
    """
    case = open_case(folder, scope_text, as_of_ns)
    with new_file(out) as file:
        made = _Maker(folder, case, registry, as_of_ns, actor, window, redact or str).write(file)
        file.flush()
        os.fsync(file.fileno())
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    warnings = list(made.warnings)
    told = {"file": out.name, "sha256": sha256, "manifest_sha256": made.manifest_sha256, "spans": made.totals.spans}
    try:
        with Control(folder) as control:
            control.audit(actor, "export", case.text, told)
    except StoreError as error:
        warnings.append(f"The bundle is written, but this export could not be put into the audit chain: {error}")
    return ExportResult(
        path=out,
        sha256=sha256,
        manifest_sha256=made.manifest_sha256,
        size_bytes=size,
        members=made.members,
        spans=made.totals.spans,
        effects=made.effects,
        sessions=len(made.totals.sessions),
        warnings=tuple(warnings),
    )


@dataclass(frozen=True, slots=True)
class _Made:
    totals: Totals
    effects: int
    manifest_sha256: str
    members: tuple[str, ...]
    warnings: tuple[str, ...]


class _Maker:
    """Writes the members of one bundle in their order."""

    def __init__(
        self,
        folder: StoreFolder,
        case: Case,
        registry: Registry,
        as_of_ns: int,
        actor: Actor,
        window: Window | None,
        redact: Redact,
    ) -> None:
        self._folder = folder
        self._case = case
        self._registry = registry
        self._as_of_ns = as_of_ns
        self._actor = actor
        self._window = window
        self._redact = redact
        self._totals = Totals()
        self._entries: list[Entry] = []
        self._left_out = 0

    def write(self, file: BinaryIO) -> _Made:
        writer = ContainerWriter(file)
        try:
            writer.add("spans.ndjson", self._spans())
            with Reader(self._folder) as reader:
                found = blast(reader, self._case.scope, self._registry, self._as_of_ns, self._window)
                why = self._why(reader)
            case = with_decisions(self._case, self._folder, self._totals.seen(), self._as_of_ns)
            timeline, cut = self._timeline(case, found)
            writer.add("effects.json", [json_bytes(blast_json(found) | {"scope": self._redact(str(found.scope))})])
            writer.add("timeline.json", [json_bytes([entry.as_json() for entry in timeline])])
            writer.add("incident.json", [json_bytes(self._incident(case))])
            writer.add("audit.json", [json_bytes([self._audit_row(row) for row in case.audit])])
            facts = Reported(
                subject=self._redact(case.text),
                scope=self._redact(str(case.scope)),
                incident=self._told(case),
                as_of_ns=self._as_of_ns,
                made_by=self._redact(self._actor.label),
                totals=self._totals,
                why=why,
                blast=found,
                timeline=timeline,
                registry=self._registry,
                unknowns=self._unknowns(case, found, cut),
            )
            writer.add("report.md", [report(facts).encode("utf-8", "replace")])
            effects = sum(len(system.effects) for system in found.systems)
            manifest = self._manifest(case, writer.members, effects, len(timeline)).as_bytes()
            sha256 = writer.add(MANIFEST, [manifest], packed=False).sha256
            writer.add(SUM, [sum_line(sha256)], packed=False)
            writer.finish()
        except ContainerError as error:
            raise BundleError(str(error)) from None
        names = tuple(member.name for member in writer.members)
        return _Made(self._totals, effects, sha256, names, case.warnings)

    def _told(self, case: Case) -> Incident | None:
        incident = case.incident
        if incident is None:
            return None
        return replace(incident, title=self._redact(incident.title), opened_by=self._redact(incident.opened_by))

    def _spans(self) -> Iterator[bytes]:
        with Evidence(self._folder, self._case.scope, self._as_of_ns, self._window) as evidence:
            self._left_out = evidence.left_out
            for stored in evidence:
                self._totals.add(stored.span, len(stored.pruned))
                self._entries += of_span(stored.span)
                if len(self._entries) > 50_000:
                    self._entries = in_order(self._entries)[0]
                yield span_line(stored.span)

    def _why(self, reader: Reader) -> dict[str, str]:
        traces = {name: reader.trace(name, self._as_of_ns, limit=1) for name, _ in self._totals.dearest()}
        return {name: trace.why for name, trace in traces.items() if trace is not None and trace.why}

    def _timeline(self, case: Case, found: Blast) -> tuple[list[Entry], int]:
        audited = frozenset().union(*(kill_ids(row) for row in case.audit))
        people = of_audit(case.audit, self._redact) + of_switches(case.switches, audited, self._redact)
        return in_order([*people, *of_effects(found), *self._entries])

    def _incident(self, case: Case) -> dict[str, object]:
        """What people decided, redacted: the incident with its steps and notes, and the stops that concern it."""
        incident = None if case.incident is None else asdict(case.incident)
        steps = [asdict(step) for _, step in sorted((case.steps or {}).items())]
        value = {
            "scope": case.text,
            "incident": incident,
            "steps": steps,
            "notes": [asdict(note) for note in case.notes],
            "switches": [asdict(row) for row in case.switches],
        }
        return {name: _redacted(part, self._redact) for name, part in value.items()}

    def _audit_row(self, row: AuditRow) -> dict[str, object]:
        value = {
            "seq": row.seq,
            "entry_id": row.entry_id,
            "at_ns": row.at_ns,
            "actor": dict(row.actor),
            "action": row.action,
            "subject": row.subject,
            "detail": dict(row.detail),
        }
        chain = {"prev": row.prev, "hash": row.hash}
        return {**{name: _redacted(part, self._redact) for name, part in value.items()}, **chain}

    def _unknowns(self, case: Case, found: Blast, cut: int) -> list[str]:
        totals = self._totals
        facts = [
            (found.unknown, "Writes whose outcome nobody logged", "Ask their systems before undoing anything."),
            (sum(tool.calls for tool in found.unmapped), "Calls that nothing tells about", "Declare their tools."),
            (found.not_compared, "Writes without a key that were not compared for duplicates", ""),
            (totals.unpriced, "Model calls without a known price", "The cost above is a lower bound."),
            (totals.open_spans, "Spans that started and have no end", "Still running, or never finished."),
            (totals.pruned_parts, "Payloads that retention had already removed", ""),
            (self._left_out, "Older spans of this scope that are not in the bundle", "Name a window to get them."),
            (cut, "Entries left out of the timeline, runs first", "They are in spans.ndjson."),
        ]
        lines = [f"{text}: {count:,}. {advice}".rstrip() for count, text, advice in facts if count]
        if totals.spans == 0:
            lines.append("Nothing is stored in this scope: its name may be wrong, or nobody collected it.")
        return lines + [code(text, 400) for text in case.warnings]

    def _manifest(self, case: Case, members: list[Packed], effects: int, entries: int) -> Manifest:
        head = case.audit_head
        return Manifest.model_validate(
            {
                "scope": self._redact(case.text),
                "from": None if self._window is None else iso(self._window.from_ns),
                "as_of": iso(self._as_of_ns),
                "as_of_ns": self._as_of_ns,
                "made_by": self._redact(self._actor.label),
                "andon_version": _version(),
                "operator_text_redacted": self._redact is not str,
                "counts": Counts(
                    spans=self._totals.spans,
                    spans_left_out=self._left_out,
                    sessions=len(self._totals.sessions),
                    effects=effects,
                    timeline=entries,
                    audit_rows=len(case.audit),
                ),
                "audit_head": None if head is None else AuditHead(seq=head[0], hash=head[1]),
                "members": [Member.of(member) for member in members],
            }
        )


def span_line(span: Span) -> bytes:
    """One stored span with its parts as one line of ASCII JSON; what is unknown is left out."""
    value = {name: part for name, part in msgspec.structs.asdict(span).items() if part is not None and part != {}}
    value["rank"] = int(span.rank)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def blast_json(found: Blast) -> dict[str, object]:
    """The shape of `andon blast --json`, with the counts."""
    return {
        "scope": str(found.scope),
        "duplicate_rule": found.duplicate_rule,
        "systems": [
            {
                "system": system.system,
                "owner": system.owner,
                "check": system.check,
                "undo": system.undo,
                "counts": {
                    "writes": system.writes,
                    "ok": system.ok,
                    "failed": system.failed,
                    "unknown": system.unknown,
                    "undone": system.undone,
                    "duplicates": system.duplicates,
                    "cannot_undo": system.cannot_undo,
                },
                "effects": [
                    {
                        "at": None if effect.row.at_ns is None else iso(effect.row.at_ns),
                        "agent": effect.row.agent,
                        "tool": effect.row.tool,
                        "operation": effect.row.operation,
                        "resource": effect.row.resource,
                        "status": effect.row.status,
                        "reversible": effect.row.reversible,
                        "undo": effect.undo,
                        "undo_how": effect.undo_how,
                        "idempotency_key": effect.row.idempotency_key,
                        "external_id": effect.row.external_id,
                        "duplicate_of": effect.duplicate_of,
                        "declared": effect.declared,
                        "basis": effect.row.basis,
                        "session": effect.row.session,
                        "span": effect.row.span_id,
                    }
                    for effect in system.effects
                ],
            }
            for system in found.systems
        ],
        "reads": found.reads,
        "unmapped_tools": [asdict(tool) for tool in found.unmapped],
    }


def _redacted(value: object, redact: Redact) -> object:
    """`value` with every text in it redacted, keys included as they are ours."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {str(key): _redacted(part, redact) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(part, redact) for part in value]
    return value


def _version() -> str:
    try:
        return version("andon")
    except PackageNotFoundError:
        return "unknown"
