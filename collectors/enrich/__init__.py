"""Enrichment of a batch before it is written: classify, price, redact, note what was found, in that order."""

from __future__ import annotations

from collectors.enrich import seal
from collectors.enrich.classify import classify
from collectors.enrich.findings import findings_in, findings_of
from collectors.enrich.injection import Injections
from collectors.enrich.key import load_key
from collectors.enrich.price import Pricer
from collectors.enrich.price_table import PriceTable
from collectors.enrich.redact import Redactor
from collectors.enrich.rules import RuleRow
from store.folder import StoreFolder
from store.record.batch import Finding, Source
from store.record.span import Span
from store.record.tools import ToolMap

__all__ = ["Enricher"]


class Enricher:
    """One per process that enriches. Classification and prices see the raw text, what leaves `spans` is redacted.

    It is a pure function of the store's key, the user's rules and prices, the tool map and the batch. `rules`: those
    of the config's `[redact] rules`, which go before our own (collectors.enrich.rules.load_rules). `prices`: those of
    prices.toml, which go before the price list (collectors.enrich.price_file.load_prices).
    """

    def __init__(
        self,
        folder: StoreFolder,
        tool_map: ToolMap,
        rules: tuple[RuleRow, ...] = (),
        prices: PriceTable | None = None,
    ) -> None:
        prices = prices or PriceTable()
        self._made_of = (folder, tool_map, rules, prices)  # all of it, so that a worker process can make the same one
        self.tool_map = tool_map
        self._pricer = Pricer(prices)
        self._key = load_key(folder.redact_key)
        self._redactor = Redactor(self._key, rules)
        self._injections = Injections()

    def __reduce__(self) -> tuple[type[Enricher], tuple[StoreFolder, ToolMap, tuple[RuleRow, ...], PriceTable]]:
        return Enricher, self._made_of

    def warm_up(self) -> None:
        """Load what is loaded at first use. Done first of all in a process, the memory that it takes is given back."""
        self._pricer.load()

    def spans(self, spans: list[Span]) -> list[Finding]:
        """Enrich a batch in place, and say what was found in it.

        Call it once a span: a declared effect or a computed price is not taken back.
        """
        for span in spans:
            classify(span, self.tool_map)
        self._pricer.price(spans)
        changes = self._redactor.spans(spans)
        return findings_of(spans, changes, self._injections)

    def text(self, text: str) -> str:
        """Any other text from a log (the sample of a reject, a message, the name of a row type), redacted."""
        return self._redactor.text(text)

    def path(self, path: str) -> str:
        """A path, redacted by the rules that are for ids."""
        return self._redactor.path(path)

    def found_in(
        self, before: str, after: str, *, place: str, part: str, at_ns: int, agent: str | None = None
    ) -> list[Finding]:
        """The findings of a text that is no span's and was redacted from `before` to `after`."""
        if before == after:
            return []
        return findings_in(before, after, place=place, part=part, at_ns=at_ns, agent=agent)

    def sealed(self, source: Source) -> Source:
        """The source as the store may have it."""
        return seal.sealed(source, self._key, self._redactor)

    def opened(self, source: Source) -> Source:
        """The source that the store has, with what was sealed in it. StoreError where the key is another."""
        return seal.opened(source, self._key)

    def token_of(self, text: str) -> str:
        """What the store holds for a value that somebody typed raw: itself, where no rule matches."""
        return self._redactor.text(text)

    def id_of(self, text: str) -> str:
        """The same for the id of a session, run or span."""
        return self._redactor.id(text)
