"""The manifest of a bundle: what it is of, and the sums over every other member."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from runbooks.incidents.container import Packed

MANIFEST = "manifest.json"
SUM = "manifest.sha256"
LARGEST_MANIFEST_BYTES = 1 << 20


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Strict):
    """Both sums are hex sha256: over the content, and over its packed bytes as they lie in the file."""

    name: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    packed_bytes: int = Field(ge=0)
    packed_sha256: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def of(cls, packed: Packed) -> Member:
        return cls(
            name=packed.name,
            size_bytes=packed.size_bytes,
            sha256=packed.sha256,
            packed_bytes=packed.packed_bytes,
            packed_sha256=packed.packed_sha256,
        )


class Counts(_Strict):
    spans: int
    spans_left_out: int
    sessions: int
    effects: int
    timeline: int
    audit_rows: int


class AuditHead(_Strict):
    """The newest row of the audit chain when the bundle was made."""

    seq: int
    hash: str


class Manifest(_Strict):
    andon_bundle: Literal[1] = 1
    scope: str
    from_: str | None = Field(default=None, alias="from")
    as_of: str
    as_of_ns: int
    made_by: str
    andon_version: str
    operator_text_redacted: bool
    counts: Counts
    audit_head: AuditHead | None
    members: list[Member]

    def as_bytes(self) -> bytes:
        return json_bytes(self.model_dump(by_alias=True))


def json_bytes(value: object) -> bytes:
    """One text for one value, in ASCII: nothing in it can steer a terminal that shows it."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def sum_line(sha256: str) -> bytes:
    """As `sha256sum -c` reads it."""
    return f"{sha256}  {MANIFEST}\n".encode("ascii")
