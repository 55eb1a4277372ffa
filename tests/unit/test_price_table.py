"""Every model that the real logs name, with the cost of 1,000 tokens of each kind worked out by hand.

The sums are those of the published prices in dollars per million tokens: fresh + cache read + cache write of 5
minutes + cache write of one hour + output. 1,000 tokens at 1 $ a million are 1,000,000 nano-dollars.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collectors.enrich import Enricher
from collectors.enrich.price import Pricer
from collectors.enrich.price_file import PriceTableError, load_prices
from collectors.enrich.price_names import spellings
from collectors.formats import FORMATS
from collectors.formats.base import Line, SourceFacts
from console.cli.main import run
from store.folder import StoreFolder
from store.record.span import NS_PER_S, Span
from store.record.tools import ToolMap
from tests.unit.format_files import DATA, needs_data

NOVEMBER = round(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * NS_PER_S

# 3 + 0.30 + 3.75 + 6 + 15, and so on: Anthropic names all five prices
_SONNET = (28_050_000, "computed")
_SONNET_5 = (18_700_000, "computed")  # 2 + 0.20 + 2.50 + 4 + 10
_HAIKU = (9_350_000, "computed")  # 1 + 0.10 + 1.25 + 2 + 5
_OPUS_4 = (140_250_000, "computed")  # 15 + 1.50 + 18.75 + 30 + 75
_OPUS_5 = (46_750_000, "computed")  # 5 + 0.50 + 6.25 + 10 + 25
# The others have no price for writing a cache: fresh input stands in for both, so the sum is uncertain.
_GPT_35 = (3_500_000, "uncertain")  # 0.50 four times + 1.50
_GPT_4 = (180_000_000, "uncertain")  # 30 four times + 60
_GPT_41 = (14_500_000, "uncertain")  # 2 + 0.50 + 2 + 2 + 8
_GPT_4O = (18_750_000, "uncertain")  # 2.50 + 1.25 + 2.50 + 2.50 + 10
_GPT_4O_MINI = (1_125_000, "uncertain")  # 0.15 + 0.075 + 0.15 + 0.15 + 0.60
_GPT_5 = (13_875_000, "uncertain")  # 1.25 + 0.125 + 1.25 + 1.25 + 10
_GPT_5_MINI = (2_775_000, "uncertain")  # 0.25 + 0.025 + 0.25 + 0.25 + 2
_GPT_52 = (19_425_000, "uncertain")  # 1.75 + 0.175 + 1.75 + 1.75 + 14
_O1 = (112_500_000, "uncertain")  # 15 + 7.50 + 15 + 15 + 60
_O1_MINI = (8_250_000, "uncertain")  # 1.10 + 0.55 + 1.10 + 1.10 + 4.40
_UNPRICED = (None, "unpriced")

MODELS: dict[str, tuple[int | None, str]] = {
    "claude-3-5-sonnet-20241022": _SONNET,
    "claude-3-sonnet-20240229": _SONNET,
    "claude-fable-5": (93_500_000, "computed"),  # 10 + 1 + 12.50 + 20 + 50
    "claude-haiku-4-5-20251001": _HAIKU,
    "claude-haiku-4.5": _HAIKU,
    "claude-opus-4-1-20250805": _OPUS_4,
    "claude-opus-4-20250514": _OPUS_4,
    "claude-opus-4-8": _OPUS_5,
    "claude-opus-5": _OPUS_5,
    "claude-sonnet-4": _SONNET,
    "claude-sonnet-4-20250514": _SONNET,
    "claude-sonnet-4-5": _SONNET,
    "claude-sonnet-4-5-20250929": _SONNET,
    "claude-sonnet-4-6": _SONNET,
    "claude-sonnet-4.6": _SONNET,
    "claude-sonnet-5": _SONNET_5,
    "gemini-2.0-flash": (725_000, "uncertain"),  # 0.10 + 0.025 + 0.10 + 0.10 + 0.40
    "gemini-2.5-pro": _GPT_5,  # the same five figures
    "gemini-3-flash-preview": (4_550_000, "uncertain"),  # 0.50 + 0.05 + 0.50 + 0.50 + 3
    "gemini-3.1-flash-lite": (2_275_000, "uncertain"),  # 0.25 + 0.025 + 0.25 + 0.25 + 1.50
    "gpt-3.5-turbo": _GPT_35,
    "gpt-3.5-turbo-0125": _GPT_35,
    "gpt-4": _GPT_4,
    "gpt-4-0613": _GPT_4,
    "gpt-4.1": _GPT_41,
    "gpt-4.1-2025-04-14": _GPT_41,
    "gpt-4o": _GPT_4O,
    "gpt-4o-2024-08-06": _GPT_4O,
    "gpt-4o-mini": _GPT_4O_MINI,
    "gpt-4o-mini-2024-07-18": _GPT_4O_MINI,
    "gpt-5": _GPT_5,
    "gpt-5-2025-08-07": _GPT_5,
    "gpt-5-mini": _GPT_5_MINI,
    "gpt-5-mini-2025-08-07": _GPT_5_MINI,
    "gpt-5.1": _GPT_5,
    "gpt-5.1-codex": _GPT_5,
    "gpt-5.2": _GPT_52,
    "gpt-5.2-codex": _GPT_52,
    "gpt-5.3-codex": _GPT_52,
    "gpt-5.4": (22_750_000, "uncertain"),  # 2.50 + 0.25 + 2.50 + 2.50 + 15
    "gpt-5.5": (45_500_000, "uncertain"),  # 5 + 0.50 + 5 + 5 + 30
    "gpt-5.6-luna": (1_920_000, "uncertain"),  # 0.20 + 0.02 + 0.25 + 0.25 + 1.20: one price for every write
    "gpt-5.6-sol": (34_400_000, "uncertain"),  # 4 + 0.40 + 5 + 5 + 20
    "mistral/mistral-small-latest": (1_065_000, "uncertain"),  # 0.15 + 0.015 + 0.15 + 0.15 + 0.60
    "o1": _O1,
    "o1-2024-12-17": _O1,
    "o1-mini": _O1_MINI,
    "o1-mini-2024-09-12": _O1_MINI,
    "o4-mini": (7_975_000, "uncertain"),  # 1.10 + 0.275 + 1.10 + 1.10 + 4.40
    "text-embedding-3-small": (80_000, "partial"),  # 0.02 four times; it has no output to price
    # names that no price list knows: made up, local, or an alias whose model nobody can tell
    "<synthetic>": _UNPRICED,
    "codex-auto-review": _UNPRICED,
    "cursor-auto": _UNPRICED,
    "droid-model": _UNPRICED,
    "gmini-pro": _UNPRICED,
    "haiku": _UNPRICED,
    "model": _UNPRICED,
    "openclaw-large": _UNPRICED,
    "openclaw-small": _UNPRICED,
    "pi-fixture-model": _UNPRICED,
    "sonnet": _UNPRICED,
}


def thousand_each(model: str | None, **fields: Any) -> Span:
    counts = dict.fromkeys(
        ("tokens_input", "tokens_cache_read", "tokens_cache_write_5m", "tokens_cache_write_1h", "tokens_output"), 1000
    )
    given = {"namespace": "n", "span_id": "s", "kind": "llm", "ended_ns": NOVEMBER, **counts}
    return Span(model=model, **{**given, **fields})


def priced(span: Span, prices: Path | None = None) -> tuple[int | None, str | None]:
    Pricer(load_prices(prices) if prices else None).price([span])
    return span.cost_nano, span.cost_basis


@pytest.mark.parametrize(("model", "expected"), MODELS.items())
def test_every_model_of_the_real_logs(model: str, expected: tuple[int | None, str]) -> None:
    span = thousand_each(model)
    assert priced(span) == expected
    assert (span.price_ref is None) == (expected == _UNPRICED)


def spans_of_real_files() -> Iterator[Span]:
    for path in sorted(path for path in DATA.rglob("*") if path.is_file() and path.stat().st_size < 8_000_000):
        data = path.read_bytes()
        lines = [Line(0, line) for line in data.splitlines() if line.strip()]
        head = [line.data for line in lines[:20]]
        for each in FORMATS:
            if each.recognises(head):
                read = lines
            elif each.whole and each.recognises([data]):
                read = [Line(0, data)]
            else:
                continue
            yield from each.parser(SourceFacts("s", str(path))).parse(read).spans
            break


@needs_data
def test_the_table_names_every_model_that_a_format_reads_from_the_real_logs() -> None:
    spans = list(spans_of_real_files())
    named = {name for span in spans for name in (span.model, span.model_served) if name}
    assert len(named) > 30
    assert named <= MODELS.keys()


@pytest.mark.parametrize(
    ("provider", "model", "ref"),
    [
        (None, "models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai", "publishers/google/models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("vertex_ai", "claude-sonnet-4@20250514", "google/claude-4-sonnet"),
        (None, "us.anthropic.claude-sonnet-4-20250514-v1:0", "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("aws.bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
         "aws/regional.anthropic.claude-haiku-4-5-20251001-v1:0"),
        (None, "bedrock/us.anthropic.claude-sonnet-4-20250514-v1:0",
         "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"),
        (None, "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0",
         "aws/regional.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
        (None, "openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
        (None, "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4-5"),
        ("litellm", "anthropic/claude-3-5-sonnet-20241022", "anthropic/claude-3-5-sonnet"),
        (None, "azure/gpt-4o", "azure/gpt-4o"),
        ("azure.ai.openai", "gpt-4o", "azure/gpt-4o"),
        (None, "CLAUDE-SONNET-4-5[1m]", "anthropic/claude-sonnet-4-5"),
        ("x_ai", "grok-4", "x-ai/grok-4-0709"),
    ],
)  # fmt: skip
def test_a_name_is_found_however_a_gateway_or_a_cloud_writes_it(provider: str | None, model: str, ref: str) -> None:
    span = thousand_each(model, provider=provider)
    Pricer().price([span])
    assert span.price_ref is not None
    assert span.price_ref.partition("@")[0] == ref


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("nobody", "gpt-4o"),
        ("nobody", "openai/gpt-4o"),
        ("ollama", "gpt-oss:20b"),
        (None, "a/b/c"),
        (None, "/"),
        (None, " "),
    ],
)
def test_a_provider_that_nobody_knows_is_never_priced_as_another(provider: str | None, model: str) -> None:
    assert priced(thousand_each(model, provider=provider)) == (None, "unpriced")


def test_names_end_however_long_they_are() -> None:
    hostile = "/".join(["openrouter"] * 20), "models/" * 28, "-20250101" * 22, "litellm/" * 25
    assert all(len(list(spellings(None, name))) < 100 for name in hostile)


# --- the user's own prices

OWN = """
[[price]]
model = "house-model"
input = 0
output = 0

[[price]]
model = "claude-sonnet-4-5*"
provider = "anthropic"
input = 1
output = 2
cache_read = 0.1
cache_write_5m = 1.25
cache_write_1h = 4.0000005

[[price]]
model = "claude-sonnet-4-5*"
provider = "anthropic"
from = 2026-10-01
input = 10
output = 20
cache_read = 1
cache_write_5m = 12.5
cache_write_1h = 40

[[price]]
model = "gpt-5*"
from = 2030-01-01
input = 1
output = 1

[[price]]
model = "thinker"
input = 1
output = 2
reasoning = 4

[[price]]
model = "team-*"
input = 1
output = 1

[[price]]
model = "team-special"
input = 2
output = 2
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(OWN)
    return path


def plain(model: str, **fields: Any) -> Span:
    nothing = {"tokens_cache_read": None, "tokens_cache_write_5m": None, "tokens_cache_write_1h": None}
    return thousand_each(model, **{**nothing, **fields})


def test_the_users_price_goes_before_the_price_list(own: Path) -> None:
    october = round(datetime(2026, 9, 30, tzinfo=UTC).timestamp()) * NS_PER_S
    before = thousand_each("claude-sonnet-4-5-20250929", provider="anthropic", ended_ns=october)
    assert priced(before, own) == (8_350_000 + 1, "computed")  # 1 + 0.1 + 1.25 + 4.0000005 + 2: half a nano rounds up
    assert before.price_ref is not None
    ref, _, snapshot = before.price_ref.partition("@prices-")
    assert (ref, len(snapshot)) == ("anthropic/claude-sonnet-4-5*", 12)
    after = thousand_each("claude-sonnet-4-5-20250929", provider="anthropic")
    assert priced(after, own) == (83_500_000, "computed")


def test_a_row_of_another_provider_or_of_a_later_day_leaves_the_price_list_its_say(own: Path) -> None:
    assert priced(thousand_each("claude-sonnet-4-5", provider=None), own) == _SONNET
    assert priced(thousand_each("gpt-5"), own) == _GPT_5


def test_zero_is_a_price(own: Path) -> None:
    assert priced(plain("house-model"), own) == (0, "computed")
    assert priced(plain("house-model", ended_ns=None), own) == (0, "computed")


def test_a_price_that_the_row_lacks_makes_the_cost_uncertain_or_partial(own: Path) -> None:
    assert priced(plain("team-x", tokens_cache_read=1000), own) == (3_000_000, "uncertain")
    own.write_text('[[price]]\nmodel = "m"\noutput = 1\n')
    assert priced(plain("m"), own) == (1_000_000, "partial")


def test_the_exact_name_goes_before_the_pattern(own: Path) -> None:
    assert priced(plain("team-special"), own) == (4_000_000, "computed")
    assert priced(plain("TEAM-other"), own) == (2_000_000, "computed")


def test_the_name_that_was_asked_for_is_known_too(own: Path) -> None:
    assert priced(plain("team-special", model_served="deployment-7"), own) == (4_000_000, "computed")


def test_reasoning_at_a_rate_of_its_own_is_taken_out_of_the_output(own: Path) -> None:
    assert priced(plain("thinker", tokens_reasoning=400), own) == (1_000_000 + 600 * 2_000 + 400 * 4_000, "computed")
    assert priced(plain("thinker"), own) == (3_000_000, "partial")
    assert priced(plain("thinker", tokens_reasoning=0), own) == (3_000_000, "computed")


def test_a_total_that_disagrees_makes_any_price_uncertain(own: Path) -> None:
    assert priced(plain("team-special", flags="total_tokens"), own) == (4_000_000, "uncertain")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[price]]\nmodel = "m"\ninputs = 1\n', "unknown key price.0.inputs"),
        ("[[prices]]\n", "unknown key prices"),
        ('[[price]]\nmodel = "m"\ninput = -1\n', "price.0.input"),
        ('[[price]]\nmodel = "m"\ninput = nan\n', "price.0.input"),
        ('[[price]]\nmodel = "m"\ninput = inf\n', "price.0.input"),
        ('[[price]]\nmodel = "m"\ninput = "x"\n', "price.0.input"),
        ('[[price]]\nmodel = ""\n', "price.0.model"),
        ("[[price]]\ninput = 1\n", "price.0.model"),
        ('[[price]]\nmodel = "m"\nfrom = "soon"\n', "price.0.from"),
        ("[[price", "is not TOML"),
        ("x = " + "9" * 5000, "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_the_name_of_its_key(own: Path, text: str, said: str) -> None:
    own.write_text(text)
    with pytest.raises(PriceTableError, match=r"prices\.toml") as refused:
        load_prices(own)
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_an_empty_table(tmp_path: Path) -> None:
    assert load_prices(tmp_path / "prices.toml").rows == ()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prices.toml").mkdir()
    with pytest.raises(PriceTableError, match="cannot be read"):
        load_prices(tmp_path / "prices.toml")
    (tmp_path / "other.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PriceTableError, match="cannot be read"):
        load_prices(tmp_path / "other.toml")


def test_a_worker_process_gets_the_same_prices(own: Path, tmp_path: Path) -> None:
    enricher = Enricher(StoreFolder(tmp_path / "store").prepare(), ToolMap(), prices=load_prices(own))
    again = pickle.loads(pickle.dumps(enricher))  # noqa: S301 - our own object, as the worker gets it
    span = plain("house-model")
    again.spans([span])
    assert (span.cost_nano, span.cost_basis) == (0, "computed")


def test_prices_are_exact_decimals(own: Path) -> None:
    own.write_text('[[price]]\nmodel = "m"\ninput = 0.1\noutput = 0.7\n')
    span = plain("m", tokens_input=3, tokens_output=3)
    assert priced(span, own)[0] == int((Decimal("0.1") + Decimal("0.7")) * 3 * 1000)


def test_collect_takes_the_prices_of_the_config_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, log = tmp_path / "config", tmp_path / "log.jsonl"
    config.mkdir()
    row = (
        '{"session_id":"s","span_id":"a","kind":"llm","time":"2026-11-01T00:00:00Z","duration_ms":5,"model":"home-made"'
    )
    log.write_text(row + ',"tokens":{"input":1000,"output":1000}}\n')
    (config / "prices.toml").write_text('[[price]]\nmodel = "home-made"\ninput = 1\noutput = 2\n')
    options = ["--store", str(tmp_path / "store"), "--config", str(config)]
    collect = ["collect", "--once", str(log), *options]
    assert run(collect) == 0
    capsys.readouterr()
    assert run(["sessions", "--json", "--as-of", "latest", *options]) == 0
    (session,) = json.loads(capsys.readouterr().out)
    assert (session["cost_usd"], session["cost_basis"]) == (0.003, "computed")

    (config / "prices.toml").write_text('[[price]]\nmodel = "home-made"\nprice = 1\n')
    assert run(collect) == 2
    assert "unknown key price.0.price" in capsys.readouterr().err

    (config / "andon.toml").write_text('[prices]\nfile = "other.toml"\n')
    assert run(collect) == 2
    assert "other.toml" in capsys.readouterr().err
