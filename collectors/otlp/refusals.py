"""Requests that were refused for good: counted, and told to the store once a second, never once a request."""

from __future__ import annotations

from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.otlp.body import RefusedError
from collectors.otlp.request import NAME
from store.record.batch import Feed

_MOST_REASONS = 50
_MOST_AT_ONCE = 10_000
_TRIED_AGAIN = (429, 503)


class Refusals:
    """What of one address is not in the store yet. For one thread: the server's."""

    def __init__(self, feed: str, inbox: Inbox, seen_ns: int) -> None:
        self.seen_ns = seen_ns  # wall clock of the last records: a refusal is none
        self._feed = feed
        self._inbox = inbox
        self._counts: dict[str, int] = {}
        self._last = ""

    def note(self, error: RefusedError) -> None:
        """Count it, unless the sender tries again."""
        if error.status in _TRIED_AGAIN:
            return
        reason = f"request refused ({error.status}): {error.message}"
        if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
            reason = f"request refused ({error.status})"
        self._counts[reason] = self._counts.get(reason, 0) + 1
        self._last = reason

    def tell(self) -> None:
        """Hand what was counted to the collector. Where it has no room the counts are kept for the next time."""
        bad: list[str] = []
        left: dict[str, int] = {}
        for reason, number in self._counts.items():
            told = min(number, _MOST_AT_ONCE - len(bad))
            bad += [reason] * told
            if number > told:
                left[reason] = number - told
        if not bad:
            return
        feed = Feed(feed=self._feed, format=NAME, seen_ns=self.seen_ns, rejected=len(bad), message=self._last)
        try:
            self._inbox.put(Delivery(feed, bad=bad))
        except InboxFullError:
            return
        self._counts = left
