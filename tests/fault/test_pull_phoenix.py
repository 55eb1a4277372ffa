"""Pulling spans: exactly once through any answer, any damage and any end of the collector. Loopback servers only.

What a real Phoenix answers is proven by tests/slow/test_phoenix.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.collect import Collector
from collectors.formats.base import Parsed
from collectors.formats.decode import UnreadableError, decode_value
from collectors.formats.otel.records import spans_of
from collectors.pull import phoenix
from collectors.pull.outside import Outside
from collectors.pull.phoenix import PhoenixSource, otel_span
from console.cli.main import run
from store.folder import StoreFolder
from tests.fault.feeding import Follower, ask, following, until
from tests.fault.small_http import Answer, Rows, Server, as_json, serving, span_row
from tests.hostile.test_format_hostile import WRONG, paths_in, storable, with_value


def source(url: str, **more: Any) -> PhoenixSource:
    return PhoenixSource(url, **({"every_s": 0.02, "timeout_s": 2.0} | more))


def pulling(folder: StoreFolder, *sources: PhoenixSource) -> Collector:
    return Collector(folder, [], feeders=[Outside(sources)], workers=0)


def spans(folder: StoreFolder) -> set[int]:
    """Their numbers, which are their ids."""
    return {int(str(own), 16) for (own,) in (ask(folder, "SELECT span_id FROM span") if has_store(folder) else [])}


def has_store(folder: StoreFolder) -> bool:
    return folder.telemetry.exists() and bool(ask(folder, "SELECT 1 FROM sqlite_master WHERE name = 'feed'"))


def feed(folder: StoreFolder) -> tuple[Any, ...]:
    rows = ask(folder, "SELECT records, rejected, state, message FROM feed") if has_store(folder) else []
    return rows[0] if rows else (0, 0, "", None)


def until_spans(follower: Follower, wanted: set[int]) -> None:
    until(lambda: follower.error is not None or spans(follower.folder) >= wanted, f"{len(wanted)} spans in the store")
    assert follower.error is None, follower.error
    assert spans(follower.folder) == wanted


def test_spans_arrive_once_and_what_comes_later_too(folder: StoreFolder) -> None:
    rows = Rows(450)
    with serving(rows) as server, following(pulling(folder, source(server.url)), folder) as follower:
        until_spans(follower, set(range(1, 451)))
        for number in range(451, 460):
            rows.rows[number] = span_row(number, start_time="2020-01-01T00:00:00+00:00")  # begun years before
        until_spans(follower, set(range(1, 460)))
    assert feed(folder) == (459, 0, "following", None)
    ((name, format_name),) = ask(folder, "SELECT feed, format FROM feed")
    assert (name, format_name) == (f"phoenix {server.url} default", "phoenix")
    asked = [query for _, query, _ in server.asked]
    assert all(query["sort"] == "id" and query["order"] == "desc" for query in asked)


def test_a_pull_goes_on_where_the_last_collector_ended(folder: StoreFolder) -> None:
    rows = Rows(300)
    with serving(rows) as server:
        with following(pulling(folder, source(server.url)), folder) as follower:
            until_spans(follower, set(range(1, 301)))
        server.asked.clear()
        rows.rows[301] = span_row(301)
        with following(pulling(folder, source(server.url)), folder) as follower:
            until_spans(follower, set(range(1, 302)))
        assert not any("cursor" in query for _, query, _ in server.asked[:2]), "one page is enough"
    assert feed(folder)[0] == 301, "what was read before is not handed on again"


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_and_nothing_is_doubled(folder: StoreFolder, tmp_path: Path) -> None:
    """A real process, killed while it walks; the walk goes on at the page whose spans were not committed."""
    rows = Rows(4_000)
    rows.pause_s = 0.02
    with serving(rows) as server:
        config = tmp_path / "config"
        config.mkdir()
        (config / "andon.toml").write_text(f'[[pull]]\nkind = "phoenix"\nurl = "{server.url}"\nevery = "1s"\n')
        command = [sys.executable, "-m", "console.cli.main", "collect"]
        environment = os.environ | {"ANDON_CONFIG": str(config), "ANDON_STORE": str(folder.path)}
        for wanted in (500, 1_500, 2_500, 4_000):
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
            until(lambda wanted=wanted: len(spans(folder)) >= wanted, f"{wanted} spans")  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            process.communicate()
        cursors = sum("cursor" not in query for _, query, _ in server.asked)
    assert spans(folder) == set(range(1, 4_001))
    assert feed(folder)[0] == 4_000
    assert cursors <= 8, "the walk was not begun anew at each start"


DAMAGE: dict[str, tuple[Callable[[Server], Answer | None], str]] = {
    "500": (lambda _: as_json({"detail": "x"}, 500), "it answers 500"),
    "401": (lambda _: as_json({"detail": "x"}, 401), "it answers 401: is the token right?"),
    "404": (lambda _: as_json({"detail": "x"}, 404), "it answers 404: is there such a project"),
    "hangs": (lambda _: None, "no answer in time"),
    "no JSON": (lambda _: (200, {}, b"<html>"), "its answer is not JSON"),
    "no object": (lambda _: as_json([1]), "its answer is not a JSON object"),
    "deep": (lambda _: (200, {}, b"[" * 100_000), "its answer is nested too deeply"),
    "no spans": (lambda _: as_json({"data": {}}), "no list of spans: is it a Phoenix?"),
    "odd cursor": (lambda _: as_json({"data": [], "next_cursor": 7}), "no list of spans"),
    "no ids": (lambda _: as_json({"data": [span_row(1, id="")], "next_cursor": None}), "no row id"),
    "no objects": (lambda _: as_json({"data": [7], "next_cursor": None}), "no row id"),
    "ends early": (lambda _: (200, {"content-length": "999"}, b'{"data"'), "the connection broke"),
    "packed": (lambda _: (200, {"content-encoding": "gzip"}, b"\x1f\x8b"), "an encoding that was not asked for"),
    "goes up": (lambda _: as_json({"data": [span_row(1), span_row(2)], "next_cursor": None}), "do not go down"),
    "elsewhere": (lambda server: (307, {"location": f"{server.url}/other"}, b""), "a redirect, which is not followed"),
    "no content": (lambda _: (204, {}, b""), "it answers 204"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_said_and_the_next_good_answer_is_read(folder: StoreFolder, name: str) -> None:
    damaged, said = DAMAGE[name]
    rows = Rows(250)
    with serving(rows) as server:
        rows.instead = lambda _: damaged(server)
        pull = source(server.url, timeout_s=0.3 if name == "hangs" else 5.0)
        with following(pulling(folder, pull), folder) as follower:
            until(lambda: feed(folder)[2] == "failing", "the feed is failing")
            assert said in str(feed(folder)[3])
            rows.instead = lambda _: False
            until_spans(follower, set(range(1, 251)))
            assert feed(folder)[2:] == ("following", None)
        assert all(path == "/v1/projects/default/spans" for path, _, _ in server.asked)


def test_nobody_there_is_said(folder: StoreFolder) -> None:
    with serving(Rows()) as server:
        url = server.url
    with following(pulling(folder, source(url)), folder):
        until(lambda: feed(folder)[2] == "failing", "the feed is failing")
        assert feed(folder)[3] == "no connection: nothing answers at that address"


def test_a_server_that_sends_for_ever_is_cut_off(folder: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phoenix, "MAX_PAGE_BYTES", 1 << 20)
    rows = Rows(10)
    rows.instead = lambda _: (200, {}, b'{"data": [' + b" " * (2 << 20))
    with serving(rows) as server, following(pulling(folder, source(server.url)), folder) as follower:
        until(lambda: feed(folder)[2] == "failing", "the feed is failing")
        assert feed(folder)[3] == "its newest span is longer than 1 MiB"
        rows.instead = lambda _: False
        until_spans(follower, set(range(1, 11)))


def test_large_pages_are_asked_for_in_pieces_and_a_span_that_is_too_large_is_counted(
    folder: StoreFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phoenix, "MAX_PAGE_BYTES", 100_000)
    rows = Rows(40)
    for number in rows.rows:
        rows.rows[number]["attributes"]["input.value"] = "x" * (200_000 if number == 17 else 20_000)
    with serving(rows) as server, following(pulling(folder, source(server.url)), folder) as follower:
        until_spans(follower, set(range(1, 41)) - {17})
        until(lambda: feed(folder)[0] == 39, "the feed has counted them")
    assert feed(folder)[1] == 1
    ((reason,),) = ask(folder, "SELECT reason FROM reject")
    assert str(reason).startswith("a span longer than")


def test_a_cursor_that_the_server_forgot_begins_the_walk_anew(folder: StoreFolder) -> None:
    rows = Rows(600)
    refused: list[str] = []

    def once(query: dict[str, str]) -> Answer | bool:
        if "cursor" in query and len(refused) < 1:
            refused.append(query["cursor"])
            return as_json({"detail": "Invalid cursor"}, 422)
        return False

    rows.instead = once
    with serving(rows) as server, following(pulling(folder, source(server.url)), folder) as follower:
        until_spans(follower, set(range(1, 601)))
    assert len(refused) == 1


def test_a_database_that_was_replaced_is_read_whole(folder: StoreFolder) -> None:
    rows = Rows(150)
    with serving(rows) as server, following(pulling(folder, source(server.url)), folder) as follower:
        until_spans(follower, set(range(1, 151)))
        other = {n: span_row(n) for n in range(1, 120)}
        for number, row in other.items():
            row["context"] = {"trace_id": f"{number:032x}", "span_id": f"{number + 1000:016x}"}
        rows.rows = other
        until_spans(follower, set(range(1, 151)) | set(range(1001, 1120)))


def test_several_pulls_do_not_wait_for_each_other(folder: StoreFolder) -> None:
    with serving(Rows(30)) as good, serving(lambda *_: None) as hanging:
        both = (source(hanging.url, timeout_s=15.0), source(good.url))
        with following(pulling(folder, *both), folder) as follower:
            until_spans(follower, set(range(1, 31)))


def test_the_token_is_sent_and_kept_nowhere(folder: StoreFolder, capfd: pytest.CaptureFixture[str]) -> None:
    token = "a-token-of-nobody-0123456789"
    pull = source("http://127.0.0.1:1", token=token)
    assert token not in repr(pull)
    assert token not in pull.feed
    rows = Rows(3)
    with serving(rows) as server:
        with following(pulling(folder, source(server.url, token=token)), folder) as follower:
            until_spans(follower, {1, 2, 3})
            rows.instead = lambda _: as_json({}, 401)
            until(lambda: feed(folder)[2] == "failing", "the feed is failing")
        assert server.asked[0][2]["authorization"] == f"Bearer {token}"
        assert server.asked[0][2]["accept-encoding"] == "identity"
    assert token.encode() not in b"".join(path.read_bytes() for path in folder.path.rglob("*") if path.is_file())
    assert token not in "".join(capfd.readouterr())


def test_environment_proxies_are_not_used(folder: StoreFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda *_: as_json({}, 500)) as proxy, serving(Rows(3)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with following(pulling(folder, source(server.url)), folder) as follower:
            until_spans(follower, {1, 2, 3})
        assert not proxy.asked


# --- what a span becomes

LLM = span_row(
    7,
    span_kind="LLM",
    parent_id="00000000000000aa",
    status_code="ERROR",
    status_message="boom",
    attributes={
        "session.id": "conv",
        "llm.model_name": "gpt-4o",
        "llm.token_count.prompt": 1200,
        "llm.token_count.completion": 30,
        "llm.token_count.prompt_details.cache_read": 1000,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "hi",
        "user.id": "u1",
    },
    events=[
        {
            "name": "exception",
            "timestamp": "2026-01-31T02:14:01+00:00",
            "attributes": {"exception.type": "ValueError", "exception.message": "boom"},
        }
    ],
)


def test_a_span_of_phoenix_is_one_of_opentelemetry() -> None:
    (span, *_) = spans_of(otel_span(LLM), agent="bot", format_name="phoenix")
    assert (span.namespace, span.span_id, span.parent_id) == (f"trace:{3:032x}", f"{7:016x}", "00000000000000aa")
    assert (span.kind, span.session, span.user_id, span.agent) == ("llm", "conv", "u1", "bot")
    assert (span.tokens_input, span.tokens_cache_read, span.tokens_output) == (200, 1000, 30)
    assert (span.status, span.error_type, span.error_message) == ("error", "ValueError", "boom")
    assert (span.started_ns, span.ended_ns) == (1_769_825_640_000_001_000, 1_769_825_641_500_000_000)
    assert (span.model, span.format) == ("gpt-4o", "phoenix")


def test_ids_that_are_no_ids_of_opentelemetry_are_kept() -> None:
    own = otel_span(span_row(1, context={"trace_id": "my-trace", "span_id": "ABCDEF0123456789"}, parent_id="root"))
    assert (own.trace_id, own.span_id, own.parent_id) == ("my-trace", "abcdef0123456789", "root")


def test_any_wrong_value_in_any_place_crashes_nothing() -> None:
    found: list[Any] = []
    refused: list[str] = []
    for path in paths_in(LLM):
        for wrong in WRONG:
            row, _ = decode_value(json.dumps(with_value(LLM, path, wrong)).encode())
            if isinstance(row, dict):
                try:
                    found += spans_of(otel_span(row), agent=None, format_name="phoenix")
                except UnreadableError as error:
                    refused.append(str(error))
    storable(Parsed(spans=found))
    assert set(refused) <= {"no time that can be read"}
    assert len(found) > 500


# --- the config


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('kind = "langfuse"\nurl = "http://127.0.0.1"', "pull.0.kind"),
        ('kind = "phoenix"', "pull.0.url"),
        ('kind = "phoenix"\nurl = "ftp://x"', "write http://HOST or https://HOST"),
        ('kind = "phoenix"\nurl = "http://user:pw@x"', "leave user and password out of it"),
        ('kind = "phoenix"\nurl = "http://x/?token=pw"', "leave the ? and what follows out of it"),
        ('kind = "phoenix"\nurl = "http://x:99999999"', "it is no URL"),
        ('kind = "phoenix"\nurl = "http://127.0.0.1"\nevery = "10"', "'10' is not an age"),
        ('kind = "phoenix"\nurl = "http://127.0.0.1"\nevery = "0s"', "at least 1s"),
        ('kind = "phoenix"\nurl = "http://127.0.0.1"\ntoken = "x"', "unknown key pull.0.token"),
        ('kind = "phoenix"\nurl = "http://far.example"\ntoken_env = "X"', "in the clear: use https"),
        ('kind = "phoenix"\nurl = "http://127.0.0.1"\ntoken_env = "ANDON_NO_SUCH"', "ANDON_NO_SUCH is not set"),
    ],
)
def test_a_config_that_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, toml: str, said: str
) -> None:
    (tmp_path / "andon.toml").write_text(f"[[pull]]\n{toml}\n")
    monkeypatch.setenv("ANDON_CONFIG", str(tmp_path))
    monkeypatch.setenv("ANDON_STORE", str(tmp_path / "store"))
    assert run(["collect"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "pw" not in err.replace("password", "")


def test_once_is_for_files(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "andon.toml").write_text('[[pull]]\nkind = "phoenix"\nurl = "http://127.0.0.1:1"\n')
    monkeypatch.setenv("ANDON_CONFIG", str(tmp_path))
    monkeypatch.setenv("ANDON_STORE", str(tmp_path / "store"))
    assert run(["collect", "--once"]) == 2
    assert "what is pulled and received comes without it" in capsys.readouterr().err
