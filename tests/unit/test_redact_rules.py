"""Rules that users add: they go first, and what is wrong with one is said with its name before anything is read."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from collectors.collect import Collector
from collectors.enrich import Enricher
from collectors.enrich.redact import Redactor
from collectors.enrich.rules import RuleRow, RulesError, load_rules, own_rules
from console.cli.main import run
from store.folder import StoreError, StoreFolder
from store.record.batch import Source
from store.record.span import Span
from store.record.tools import ToolMap
from tests.fault.feeding import ask, line

STAFF = """
[[rule]]
name = "staff number"
class = "staff"
pattern = 'EMP-[0-9]{6}'

[[rule]]
name = "our own addresses, which are nobody's"
class = ""
pattern = '[a-z]+@corp\\.example'

[[rule]]
name = "patient"
class = "patient"
pattern = 'patient[ _](?P<value>[A-Z][a-z]+[ _][A-Z][a-z]+)'
ids = false
"""


def rules(tmp_path: Path, text: str = STAFF) -> tuple[RuleRow, ...]:
    path = tmp_path / "redact.toml"
    path.write_text(text, encoding="utf-8")
    return load_rules(path)


def test_rules_that_are_added_go_first(tmp_path: Path) -> None:
    own = Redactor(b"k" * 32, rules(tmp_path))
    text = own.text("EMP-123456 and ops@corp.example and bob@example.org saw patient Ann Smith")
    assert "EMP-" not in text
    assert text.startswith("<staff:")
    assert "ops@corp.example" in text
    assert "<email:" in text
    assert "saw patient <patient:" in text
    assert own.id("EMP-123456") == own.text("EMP-123456")
    assert own.id("patient_Ann_Smith") == "patient_Ann_Smith"
    assert Redactor(b"k" * 32).text("EMP-123456") == "EMP-123456"


def test_a_rule_that_takes_in_everything_stays_within_its_text(tmp_path: Path) -> None:
    own = Redactor(b"k" * 32, rules(tmp_path, "[[rule]]\nname = 'rest'\nclass = 'rest'\npattern = 'SECRET:(?s:.*)'\n"))
    spans = [
        Span(namespace="n", span_id=str(number), name=text) for number, text in enumerate(["SECRET:a", "b", "SECRET:"])
    ]
    own.spans(spans)
    assert spans[0].name == own.text("SECRET:a")
    assert spans[1].name == "b"


def test_every_rule_of_ours_could_be_a_users(tmp_path: Path) -> None:
    assert len({row.name for row in own_rules()}) == len(own_rules()) > 30
    assert pickle.loads(pickle.dumps(own_rules())) == own_rules()  # noqa: S301 - made here
    assert rules(tmp_path, "") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]]\nname = 'x'\nclass = 'a_b'\npattern = 'a('", r"rule 1 \(x\): pattern: RE2 refuses it: missing \)"),
        (
            "[[rule]]\nname = 'x'\nclass = 'ab'\npattern = '(?<=a)b'",
            r"rule 1 \(x\): pattern: RE2 refuses it: invalid perl",
        ),
        (
            "[[rule]]\nname = 'x'\nclass = 'ab'\npattern = '(a)\\1'",
            r"rule 1 \(x\): pattern: RE2 refuses it: invalid escape",
        ),
        ("[[rule]]\nname = 'x'\nclass = 'ab'\npattern = 'a*'", "matches the empty text"),
        ("[[rule]]\nname = 'x'\nclass = 'A1'\npattern = 'a'", "class 'A1': write 2 to 20 small letters"),
        (
            "[[rule]]\nname = 'x'\nclass = 'ab'\npattern = 'a'\nvalidator = 'lun'",
            "validator 'lun' is not known; there are",
        ),
        ("[[rule]]\nname = 'x'\nclass = 'ab'\npatern = 'a'", r"rule 1 \(x\): Object contains unknown field `patern`"),
        ("[[rule]]\nname = 'x'\nclass = 'ab'", "missing required field `pattern`"),
        ("[[rule]]\nname = 'x'\nclass = 'ab'\npattern = '(?P<who>a)'", "the one group with a name is"),
        ("[[rule]]\nname = 'x'\nclass = 'ab'\npattern = 7", "Expected `str`, got `int`"),
        ("rule = 3", r"write \[\[rule\]\]"),
        ("[[rules]]\nname = 'x'", "rules: unknown key"),
        ("[[rule", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RulesError, match=said):
        rules(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml")


def test_collect_stops_before_it_reads_where_a_rule_is_wrong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config, log = tmp_path / "config", tmp_path / "a.jsonl"
    config.mkdir()
    log.write_bytes(line(1))
    (config / "andon.toml").write_text('[redact]\nrules = "mine.toml"\n')
    (config / "mine.toml").write_text("[[rule]]\nname = 'mine'\nclass = 'ab'\npattern = '['\n")
    arguments = ["collect", "--once", "--store", str(tmp_path / "store"), "--config", str(config), str(log)]
    assert run(arguments) == 2
    assert "mine.toml: rule 1 (mine): pattern: RE2 refuses it" in capfd.readouterr().err
    assert not (tmp_path / "store" / "telemetry.db").exists()
    (config / "mine.toml").write_text("[[rule]]\nname = 'mine'\nclass = 'staff'\npattern = 'EMP-[0-9]{6}'\n")
    log.write_bytes(line(1, user_id="EMP-123456"))
    assert run(arguments) == 0
    (user,) = ask(StoreFolder(tmp_path / "store"), "SELECT user_id FROM span")[0]
    assert str(user).startswith("<staff:")
    capfd.readouterr()
    where = ["--store", str(tmp_path / "store"), "--config", str(config)]
    assert run(["sessions", "--user", "EMP-123456", *where]) == 0
    assert "s1" in capfd.readouterr().out
    (config / "andon.toml").write_text('[redact]\nrule = "mine.toml"\n')
    assert run(arguments) == 2
    assert "redact" in capfd.readouterr().err


def test_an_enricher_travels_to_another_process(tmp_path: Path) -> None:
    own = Enricher(StoreFolder(tmp_path / "store").prepare(), ToolMap(), rules(tmp_path))
    other = pickle.loads(pickle.dumps(own))  # noqa: S301 - made here
    for text in ("EMP-123456", "bob@example.org", "nothing"):
        assert other.text(text) == own.text(text)


# --- what a source keeps


def source(**fields: object) -> Source:
    given = {"path": "/logs/a.jsonl", "parser_state": b"\x81\xa1a\xa1b", **fields}
    return Source(
        source_id="1",
        device=1,
        inode=2,
        head_length=1,
        head_hash=b"h",
        offset=3,
        tail_length=1,
        tail_hash=b"t",
        **given,  # type: ignore[arg-type]
    )


def test_a_source_shows_tokens_and_keeps_what_it_needs(tmp_path: Path) -> None:
    own = Enricher(StoreFolder(tmp_path / "store").prepare(), ToolMap())
    plain = source()
    assert own.sealed(plain) is plain
    assert own.opened(plain) is plain
    for secret in (
        source(path="/home/bob@example.org/\udcff.jsonl"),
        source(parser_state=b"\x81\xa1a\xb1bob@example.org.."),
        source(agent="bob@example.org", message="cannot read bob@example.org"),
    ):
        sealed = own.sealed(secret)
        kept = repr((sealed.path, sealed.agent, sealed.message, sealed.parser_state))
        assert "bob@" not in kept
        assert own.opened(sealed) == secret
        assert own.sealed(secret) == sealed
    assert own.sealed(source(path="/home/bob@example.org/x")).path == f"/home/{own.path('bob@example.org')}/x"


def test_a_source_of_another_key_is_refused(tmp_path: Path) -> None:
    one, two = (Enricher(StoreFolder(tmp_path / name).prepare(), ToolMap()) for name in ("a", "b"))
    with pytest.raises(StoreError, match=r"redact\.key is not the one"):
        two.opened(one.sealed(source(path="/home/bob@example.org/x")))


def test_a_file_whose_name_is_an_address_is_read_on_after_a_restart(folder: StoreFolder, tmp_path: Path) -> None:
    log = tmp_path / "bob@example.org.jsonl"
    log.write_bytes(line(1))
    assert Collector(folder, [log]).run_once().spans == 1
    log.write_bytes(log.read_bytes() + line(2))
    again = Collector(folder, [log]).run_once()
    assert (again.spans, again.duplicates, again.gaps) == (1, 0, 0)
    assert ask(folder, "SELECT count(*) FROM source") == [(1,)]
    log.unlink()
    Collector(folder, [tmp_path]).run_once()
    for table in ("source", "gap", "reject"):
        assert not [row for row in ask(folder, f"SELECT path FROM {table}") if "bob@" in str(row)]
