"""Health probes against real servers on loopback, from the registry to the figure of `andon status --json`."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from collectors.collect import Collector
from collectors.pull.health import Health
from collectors.pull.outside import Outside
from console.cli.main import run
from store.folder import StoreFolder
from store.record.batch import Batch
from store.record.span import NS_PER_S, Span
from store.telemetry.reader import Reader
from store.telemetry.writer import Writer
from tests.fault.feeding import ask, following, until
from tests.fault.small_http import Answer, as_json, serving


def probing(folder: StoreFolder, urls: dict[str, str], timeout_s: float = 5.0) -> Collector:
    return Collector(folder, [], feeders=[Outside([], Health(urls, 0.05, timeout_s))], workers=0)


def probes(folder: StoreFolder) -> list[tuple[object, ...]]:
    if not folder.telemetry.exists() or not ask(folder, "SELECT 1 FROM sqlite_master WHERE name = 'probe'"):
        return []
    return ask(folder, "SELECT agent, ok, status, latency_ns FROM probe ORDER BY at_ns")


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Drip:
    """A server that sends one byte of its answer's head after the other and never comes to an end."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Drip:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        self._socket.settimeout(0.05)
        open_ones: list[socket.socket] = []
        while not self._ending.is_set():
            try:
                open_ones.append(self._socket.accept()[0])
            except TimeoutError:
                pass
            except OSError:
                break
            for one in open_ones:
                try:
                    one.send(b"H")
                except OSError:
                    one.close()
            open_ones = [one for one in open_ones if one.fileno() >= 0]
        for one in open_ones:
            one.close()


def test_each_answer_is_told_by_a_word(folder: StoreFolder) -> None:
    elsewhere: list[str] = []

    def answer(path: str, _query: dict[str, str], _headers: dict[str, str]) -> Answer | None:
        elsewhere.append(path)
        if path == "/moved":
            return 302, {"location": "/elsewhere"}, b""
        if path == "/hangs":
            return None
        return as_json({}, int(path[1:]))

    with serving(answer) as server, Drip() as drip:
        urls = {
            "good": f"{server.url}/200",
            "empty": f"{server.url}/204",
            "ill": f"{server.url}/503",
            "gone": f"{server.url}/404",
            "moved": f"{server.url}/moved",
            "hangs": f"{server.url}/hangs",
            "drips": drip.url,
            "closed": f"http://127.0.0.1:{closed_port()}/",
            "no tls": server.url.replace("http:", "https:"),
        }
        with following(probing(folder, urls, timeout_s=0.5), folder):
            until(lambda: len(probes(folder)) >= 2 * len(urls), "two rounds of probes")
    found = {str(agent): (ok, status, latency is not None) for agent, ok, status, latency in probes(folder)}
    assert found == {
        "good": (1, "200", True),
        "empty": (1, "204", True),
        "ill": (0, "503", True),
        "gone": (0, "404", True),
        "moved": (0, "redirect", True),
        "hangs": (0, "timeout", False),
        "drips": (0, "timeout", False),
        "closed": (0, "refused", False),
        "no tls": (0, "tls", False),
    }
    assert "/elsewhere" not in elsewhere


def test_a_host_that_hangs_keeps_no_other_waiting(folder: StoreFolder) -> None:
    with serving(lambda path, *_: None if path == "/hangs" else as_json({})) as server:
        urls = {f"a{number}": f"{server.url}/hangs" for number in range(60)} | {"good": f"{server.url}/good"}
        with following(probing(folder, urls, timeout_s=1.0), folder):
            until(lambda: len(probes(folder)) >= len(urls), "one round of probes")
    assert [row[1:3] for row in probes(folder) if row[0] == "good"][:1] == [(1, "200")]


def test_from_the_registry_to_the_figure_of_status(
    folder: StoreFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The collector as a command starts it: agents.toml says whom to ask, andon.toml how often."""
    config = tmp_path / "config"
    config.mkdir()
    ill = threading.Event()
    with serving(lambda *_: as_json({}, 503 if ill.is_set() else 200)) as server:
        (config / "agents.toml").write_text(f'[agents.bot]\nhealth = "{server.url}/health"\n[agents.other]\n')
        (config / "andon.toml").write_text('health_every = "1s"\n')
        monkeypatch.setenv("ANDON_CONFIG", str(config))
        monkeypatch.setenv("ANDON_STORE", str(folder.path))
        from console.cli.options import Settings
        from console.cli.sources import outside_of

        outside = outside_of(Settings(config_path=config, store_path=folder.path), with_pulls=True)
        assert outside is not None
        with following(Collector(folder, [], feeders=[outside], workers=0), folder):
            until(lambda: len(probes(folder)) >= 2, "two probes")
            ill.set()
            until(lambda: any(row[1] == 0 for row in probes(folder)), "a bad probe")
        (at_ns,) = ask(folder, "SELECT max(at_ns) FROM probe")[0]
    assert isinstance(at_ns, int)
    with Writer(folder) as writer:
        for agent in ("bot", "other"):
            span = Span(namespace="n", span_id=agent, session=agent, agent=agent, kind="run", ended_ns=at_ns)
            writer.write(Batch(spans=[span]), at_ns)
    capsys.readouterr()
    assert run(["status", "--json"]) == 0
    agents = {row["agent"]: row["infra_uptime"] for row in json.loads(capsys.readouterr().out)["agents"]}
    assert agents["other"] is None
    assert 0 < agents["bot"] < 1
    assert run(["doctor"]) in (0, 1), "a feed is a source like any other"


def test_a_store_of_probes_can_be_asked_at_any_moment(folder: StoreFolder) -> None:
    with serving(lambda *_: as_json({})) as server, following(probing(folder, {"bot": server.url}), folder):
        until(lambda: len(probes(folder)) >= 3, "three probes")
    from store.record.window import parse_window

    (first, last) = ask(folder, "SELECT min(at_ns), max(at_ns) FROM probe")[0]
    assert isinstance(first, int)
    assert isinstance(last, int)
    with Reader(folder) as reader:
        (one,) = reader.uptime(parse_window("1h", last), last, 60 * NS_PER_S)
        assert (one.agent, one.availability, one.failures, one.last_failure_ns) == ("bot", 1.0, 0, None)
        assert reader.uptime(parse_window("1h", first - 1), first - 1, 60 * NS_PER_S) == ()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "write http://HOST or https://HOST"),
        ("http://user:pw@host/", "leave user and password out of it"),
        ("host:80", "write http://HOST or https://HOST"),
    ],
)
def test_a_health_url_that_cannot_be_asked_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, url: str, said: str
) -> None:
    (tmp_path / "agents.toml").write_text(f'[agents.bot]\nhealth = "{url}"\n')
    monkeypatch.setenv("ANDON_CONFIG", str(tmp_path))
    monkeypatch.setenv("ANDON_STORE", str(tmp_path / "store"))
    assert run(["collect"]) == 2
    err = capsys.readouterr().err
    assert "agents.bot.health" in err
    assert said in err
    assert err.count("\n") == 1
