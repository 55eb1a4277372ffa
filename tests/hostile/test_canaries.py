"""200 canaries of 20 classes in every input: not one in any byte of the store, its WAL, exports, or what is printed.

Every text of every format's example line holds each kind of canary in turn, bare and wrapped; so do lines that cannot
be read, lines that are too long, names of files, of row types and of formats, and what an error says.
"""

from __future__ import annotations

import json
import random
import sqlite3
import string
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collectors.collect import Collector
from collectors.declared import Declared
from collectors.enrich import Enricher
from collectors.enrich.validators import luhn
from collectors.formats import FORMATS
from collectors.formats.base import Line
from console.cli.main import run
from store.folder import StoreFolder
from store.record.tools import ToolMap
from store.telemetry.payload import unpacked
from tests.fault.feeding import ask
from tests.hostile.test_format_hostile import GOOD, at, paths_in, with_value
from tests.unit.format_files import parse

EACH = 10
_draw = random.Random(29)
UPPER = string.ascii_uppercase + string.digits


def some(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_draw.choice(alphabet) for _ in range(count - 2)) + "a7"


def digits(count: int) -> str:
    return "".join(_draw.choice("123456789") for _ in range(count))


def card() -> str:
    body = "4" + digits(14)
    number = next(body + last for last in "0123456789" if luhn(body + last))
    return " ".join(number[start : start + 4] for start in range(0, 16, 4))


def iban() -> str:
    body = digits(18)
    return f"DE{98 - int(f'{body}131400') % 97:02d}{body}"


def key() -> str:
    return "-----BEGIN EC PRIVATE KEY-----\\n" + some(64) + "\\n" + some(64) + "\\n-----END EC PRIVATE KEY-----"


MAKERS: dict[str, tuple[str, Callable[[], str]]] = {
    "email": ("{}", lambda: f"{some(8).lower()}@mail-{some(5).lower()}.example.com"),
    "phone": ("{}", lambda: f"+43 664 {digits(7)}"),
    "card": ("{}", card),
    "iban": ("{}", iban),
    "ssn": ("{}", lambda: f"4{digits(2)}-{digits(2)}-{digits(4)}"),
    "ipv4": ("{}", lambda: f"81.{_draw.randrange(100, 250)}.{_draw.randrange(100, 250)}.{_draw.randrange(100, 250)}"),
    "ipv6": (
        "{}",
        lambda: f"2a00:1450:{some(4, '123456789bcd')[:2]}1{_draw.randrange(9)}::{_draw.randrange(1000, 9999)}",
    ),
    "anthropic": ("{}", lambda: f"sk-ant-api03-{some(30)}"),
    "openai": ("{}", lambda: f"sk-proj-{some(30)}"),
    "aws": ("{}", lambda: "AKIA" + some(16, UPPER).upper()),
    "github": ("{}", lambda: f"ghp_{some(36)}"),
    "gitlab": ("{}", lambda: f"glpat-{some(20)}"),
    "slack": ("{}", lambda: f"xoxb-{digits(11)}-{some(24)}"),
    "jwt": ("{}", lambda: f"eyJhbGciOiJIUzI1NiJ9.eyJ{some(30)}.{some(40)}"),
    "google": ("{}", lambda: f"AIza{some(35)}"),
    "stripe": ("{}", lambda: f"sk_live_{some(24)}"),
    "private_key": ("{}", key),
    "bearer": ("Authorization: Bearer {}", lambda: some(30)),
    "url": ("postgres://admin:{}@db.internal:5432/x", lambda: some(14)),
    "password": ("password={}", lambda: some(14)),
}
CANARIES = [(text.format(value), value) for text, make in MAKERS.values() for value in (make() for _ in range(EACH))]
WRAPS: tuple[Callable[[str], str], ...] = (
    lambda shown: shown,
    lambda shown: f"see {shown} now",
    lambda shown: json.dumps({"note": f"see {shown} now", "n": [1]}),
    lambda shown: json.dumps({"args": json.dumps({"note": shown})}),
    lambda shown: shown.replace("@", "%40").replace(":", "\u200b:").replace("sk-", "s\u00adk-"),
)


def texts() -> Iterator[str]:
    """Every canary in every wrap, without end."""
    while True:
        for wrap in WRAPS:
            for shown, _ in CANARIES:
                yield wrap(shown)


def pieces(value: str) -> list[str]:
    """What of a canary must not be seen."""
    return [one for one in value.split("\\n") if "PRIVATE KEY" not in one]


def lines_of(name: str, endless: Iterator[str]) -> list[str]:
    """The format's example, with a canary in each text of it, four times over; its types and roles as they are too."""
    good = GOOD[name]
    # the guard's instance is made by our guard (host, process, start) and names its file in the switch folder: it stays
    places = [path for path in paths_in(good) if isinstance(at(good, path), str) and path[-1] != "instance"]
    rows = [good]
    rows += [with_value(good, path, next(endless)) for path in places for _ in range(4)]
    everywhere = good
    for path in places:
        if path[-1] not in ("type", "role", "kind", "event_type", "object", "source", "action", "observation"):
            everywhere = with_value(everywhere, path, next(endless))
    return [
        json.dumps(row) for row in [*rows, everywhere, *(everywhere_with_ids(everywhere, endless) for _ in range(4))]
    ]


def everywhere_with_ids(row: Any, endless: Iterator[str]) -> Any:
    for path in paths_in(row):
        if path and str(path[-1]).lower().endswith("id") and isinstance(at(row, path), str):
            row = with_value(row, path, next(endless))
    return row


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Declared]]:
    """A folder of logs of every format, and of what cannot be read."""
    folder = tmp_path_factory.mktemp("logs")
    endless = texts()
    declared = []
    for form in FORMATS:
        path = folder / f"{form.name}.jsonl"
        path.write_text("\n".join(lines_of(form.name, endless)) + "\n", "utf-8")
        declared.append(Declared(path, form.name))
    bad = folder / "bad.jsonl"
    with bad.open("w", encoding="utf-8") as file:
        for shown, _ in CANARIES:
            file.write(f'no record: {shown}\n{{"session_id": "s", "kind": "{shown}"\n')
            file.write(json.dumps({"session_id": "s", "kind": shown, "time": shown}) + "\n")
            file.write(json.dumps({"type": shown}) + "\n")
            file.write(
                json.dumps({"session_id": shown, "kind": "tool", "time": 1, "pad": f"{shown} {'y ' * 9000}"}) + "\n"
            )
    declared.append(Declared(bad, "andon"))
    for name in ("pi", "claude-code", "codex"):
        path = folder / f"types-{name}.jsonl"
        rows = [{**GOOD[name], "type": shown} for shown, _ in CANARIES]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        declared.append(Declared(path, name))
    for shown, _ in CANARIES[:: EACH // 2]:
        if "PRIVATE" in shown:
            continue  # no file's name has lines
        name = shown.replace("/", "_")[:120] + "-log"
        (folder / f"{name}.jsonl").write_text(json.dumps({**GOOD["andon"], "session_id": name}) + "\nbad\n", "utf-8")
        (folder / f"{name}.txt").write_text("no format\n" * 30, "utf-8")
        declared += [Declared(folder / f"{name}{suffix}") for suffix in (".jsonl", ".txt", ".gone")]
    return folder, declared


def seen(blob: bytes) -> list[str]:
    return [piece for _, value in CANARIES for piece in pieces(value) if piece.encode() in blob]


def everything(folder: StoreFolder) -> bytes:
    """All bytes of the store, and what its compressed payloads say."""
    raw = b"".join(path.read_bytes() for path in sorted(folder.path.rglob("*")) if path.is_file())
    with closing(sqlite3.connect(folder.telemetry)) as connection:
        said = [text for (data,) in connection.execute("SELECT data FROM payload") for text in unpacked(data)]
    return raw + "\n".join(said).encode()


def test_there_are_200_of_20_classes() -> None:
    assert len(MAKERS) == 20
    assert len({value for _, value in CANARIES}) == 200
    blob = "\n".join(value for _, value in CANARIES).encode()
    assert len(seen(blob)) >= 200


@pytest.mark.parametrize("name", sorted(GOOD))
def test_no_canary_in_any_span(name: str, folder: StoreFolder) -> None:
    """Each span by itself, before versions of it are joined."""
    enricher = Enricher(folder.prepare(), ToolMap())
    lines = [Line(number, text.encode()) for number, text in enumerate(lines_of(name, texts()))]
    parsed = parse(name, lines)
    enricher.spans(parsed.spans)
    left = [
        (piece, field, value)
        for span in parsed.spans
        for field, value in [*msgspec.structs.asdict(span).items(), *span.parts.items()]
        if isinstance(value, str)
        for piece in seen(value.encode("utf-8", "replace"))
    ]
    assert left == []
    assert parsed.spans


@pytest.mark.parametrize("workers", [0, 2])
def test_no_canary_in_any_byte(
    inputs: tuple[Path, list[Declared]], folder: StoreFolder, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    messages: list[str] = []
    _, declared = inputs
    folder.prepare()
    collector = Collector(folder, declared, max_line_bytes=8000, workers=workers, on_message=messages.append)
    summary = collector.run_once()
    assert summary.spans > 400  # versions of one span are joined, and what the join drops is not written
    assert summary.records > 4000
    assert summary.rejected > 600
    assert set(summary.by_format) >= {form.name for form in FORMATS}
    with closing(sqlite3.connect(folder.telemetry)) as held:  # keeps the WAL
        held.execute("BEGIN").execute("SELECT count(*) FROM span").fetchall()
        Collector(folder, declared, max_line_bytes=8000, workers=workers).run_once()
        assert seen(everything(folder)) == []
    assert seen("\n".join([*messages, *summary.messages, str(summary)]).encode()) == []
    assert len(ask(folder, "SELECT DISTINCT class FROM finding")) >= 16
    out = capfd.readouterr()
    assert seen((out.out + out.err).encode()) == []


def test_no_canary_in_exports_or_what_is_printed(
    inputs: tuple[Path, list[Declared]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logs, declared = inputs
    where = ["--store", str(tmp_path / "store"), "--config", str(tmp_path)]
    config = "".join(
        f"[[source]]\npath = {json.dumps(str(one.path))}\n"
        + (f'format = "{one.format_name}"\n' if one.format_name else "")
        for one in declared
    )
    (tmp_path / "andon.toml").write_text(config, "utf-8")
    assert run(["collect", "--once", *where]) == 0
    assert run(["collect", "--once", "--json", *where, str(logs)]) == 0
    for command in (
        ["sessions", "--json"],
        ["status", "--window", "7d"],
        ["doctor"],
        ["doctor", "--json"],
        ["blast", "all"],
    ):
        run([*command, *where])
    bundle = tmp_path / "all.zip"
    assert run(["export", "all", "-o", str(bundle), *where]) == 0
    sessions = [str(row[0]) for row in ask(StoreFolder(tmp_path / "store"), "SELECT session FROM session LIMIT 40")]
    for session in sessions:
        run(["trace", session, "--json", *where])
    out = capfd.readouterr()
    assert len(out.out) > 100_000
    assert seen((out.out + out.err).encode()) == []
    with zipfile.ZipFile(bundle) as made:
        inside = b"".join(made.read(name) for name in made.namelist())
    assert len(inside) > 100_000
    assert seen(bundle.read_bytes() + inside) == []
    assert seen(everything(StoreFolder(tmp_path / "store"))) == []
