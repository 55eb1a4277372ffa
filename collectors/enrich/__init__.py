"""Enrichment of a batch before it is written: classify, price, redact, in that order."""

from __future__ import annotations

from collectors.enrich.classify import classify
from collectors.enrich.key import load_key
from collectors.enrich.price import Pricer
from collectors.enrich.redact import Redactor
from store.folder import StoreFolder
from store.record.span import Span
from store.record.tools import ToolMap

__all__ = ["Enricher"]


class Enricher:
    """One per collector. Classification and prices see the raw text, what leaves `spans` is redacted."""

    def __init__(self, folder: StoreFolder, tool_map: ToolMap) -> None:
        self.tool_map = tool_map
        self._pricer = Pricer()
        self._redactor = Redactor(load_key(folder.redact_key))

    def spans(self, spans: list[Span]) -> None:
        """Enrich a batch in place. Call it once a span: a declared effect or a computed price is not taken back."""
        for span in spans:
            classify(span, self.tool_map)
        self._pricer.price(spans)
        self._redactor.spans(spans)

    def text(self, text: str) -> str:
        """Any other text from a log (the sample of a reject, a message, the name of a row type), redacted."""
        return self._redactor.text(text)

    def token_of(self, text: str) -> str:
        """What the store holds for a value that somebody typed raw: itself, where no rule matches."""
        return self._redactor.text(text)
