"""The thread that asks other programs: it pulls spans and probes health, and hands both to the collector's inbox.

One loop for all of them, so that a host that hangs keeps none of the others waiting. A page's cursor is written with
its spans; the next page is asked for when they are in the store, so a crash at any moment reads a page again at worst.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

from collectors.declared import CollectError
from collectors.inbox import Delivery, Inbox, InboxFullError
from collectors.pull.health import FEED as HEALTH
from collectors.pull.health import Health, probe
from collectors.pull.http import TroubleError, client
from collectors.pull.phoenix import NAME, Phoenix, PhoenixSource
from collectors.pull.walk import Walk
from store.folder import StoreError
from store.record.batch import Feed

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 300.0
_FULL_S = 1.0


class Outside:
    """A feeder of the collector: each pull walks to its end and starts again, all health is probed by turns."""

    def __init__(self, pulls: Iterable[PhoenixSource], health: Health | None = None) -> None:
        self._pulls = tuple(pulls)
        self._health = health if health is not None and health.urls else None
        self._inbox = Inbox()
        self._feeds: Mapping[str, Feed] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outside", daemon=True)

    def start(self, inbox: Inbox, feeds: Mapping[str, Feed]) -> None:
        """Go on from the cursors of these feeds."""
        self._inbox, self._feeds = inbox, feeds
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End within a moment; what was put and is not committed yet is asked for again next time."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._started.set()
        jobs = [asyncio.create_task(self._until_closed(self._pull(source))) for source in self._pulls]
        if self._health is not None:
            jobs.append(asyncio.create_task(self._until_closed(self._probe_all(self._health))))
        await self._stop.wait()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _until_closed(self, job: Coroutine[Any, Any, None]) -> None:
        """A delivery that fails is one that the collector could not write: it is ending, and says why itself."""
        try:
            await job
        except (StoreError, CollectError):
            return
        except Exception:  # noqa: BLE001 - one pull must not end the others, nor the collector
            _log.exception("a pull ended by a fault of ours; nothing is lost, it goes on at the next start")

    async def _pull(self, source: PhoenixSource) -> None:
        pause_s = source.every_s
        async with client(source.timeout_s) as own:
            phoenix = Phoenix(source, own, Walk.of(before.cursor if (before := self._feeds.get(source.feed)) else ""))
            failed = ""
            while True:
                try:
                    await self._pages(source, phoenix, failed)
                except TroubleError as error:
                    if failed != str(error):
                        _log.warning("%s: %s; it is tried again", source.feed, error)
                        failed = str(error)
                        await self._put(Delivery(self._feed(source, phoenix, failed)))
                    pause_s = min(max(pause_s * 2, source.every_s), max(_LONGEST_PAUSE_S, source.every_s))
                else:
                    failed, pause_s = "", source.every_s
                await asyncio.sleep(pause_s)

    async def _pages(self, source: PhoenixSource, phoenix: Phoenix, failed: str) -> None:
        """Walk to the end, each page committed before the next one is asked for."""
        before = phoenix.walk.cursor()
        while True:
            page = await phoenix.page()
            cursor = phoenix.walk.cursor()
            if cursor != before or page.spans or page.bad or failed:
                feed = self._feed(source, phoenix)
                feed.records, feed.rejected = len(page.spans), len(page.bad)
                await self._put(Delivery(feed, spans=page.spans, bad=page.bad, size_bytes=page.size_bytes))
                before, failed = cursor, ""
            if not phoenix.walk.under_way:
                return

    def _feed(self, source: PhoenixSource, phoenix: Phoenix, failed: str = "") -> Feed:
        return Feed(
            feed=source.feed,
            format=NAME,
            cursor=phoenix.walk.cursor(),
            seen_ns=time.time_ns(),
            state="failing" if failed else "following",
            message=failed or None,
        )

    async def _probe_all(self, health: Health) -> None:
        async with client(health.timeout_s) as own:
            while True:
                began_s = time.monotonic()
                probes = await asyncio.gather(
                    *(probe(own, agent, url, health.timeout_s) for agent, url in health.urls.items())
                )
                feed = Feed(feed=HEALTH, format=HEALTH, seen_ns=time.time_ns())
                await self._put(Delivery(feed, probes=list(probes)))
                await asyncio.sleep(max(0.0, began_s + health.every_s - time.monotonic()))

    async def _put(self, delivery: Delivery) -> None:
        """Until it is committed. A store that cannot be written stops the collector, and with it this."""
        while True:
            try:
                committed = self._inbox.put(delivery)
            except InboxFullError:
                await asyncio.sleep(_FULL_S)
                continue
            await asyncio.wrap_future(committed)
            return
