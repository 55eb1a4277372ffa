"""What personal data and secrets were found: which way they came in, how they were handled, where they ended up."""

from __future__ import annotations

import json
import sqlite3

from store.record.window import Window
from store.telemetry.views import FindingFlow

_SEEN = (
    "SELECT class, token, count, direction, via, handled, system, session, agent, at_ns, "
    "namespace || char(0) || span_id AS span FROM finding WHERE at_ns >= ? AND at_ns < ? AND at_ns <= ?"
)
# A value that entered is followed by its token: every place it was given to afterwards or before, in the same window.
# A value that left and is not known to have entered has a row of its own, as has what was only flagged.
_FLOWS = f"""
WITH seen AS ({_SEEN}),
came AS (SELECT DISTINCT class, token, via FROM seen WHERE direction = 'entered'),
way AS (
  SELECT seen.*, CASE WHEN direction = 'entered' THEN seen.via END AS entered_by FROM seen
  WHERE direction = 'entered' OR NOT EXISTS (
    SELECT 1 FROM came WHERE came.class = seen.class AND came.token = seen.token AND seen.token != '')
),
place AS (
  SELECT DISTINCT seen.class, seen.token, came.via AS entered_by, coalesce(seen.system, seen.via) AS name FROM seen
  LEFT JOIN came ON came.class = seen.class AND came.token = seen.token AND seen.token != ''
  WHERE seen.direction = 'left' OR (seen.via = 'user' AND seen.system IS NOT NULL)
)
SELECT class, entered_by, handled, count(DISTINCT nullif(token, '')), sum(count), count(DISTINCT span),
  count(DISTINCT session), min(at_ns), max(at_ns),
  (SELECT json_group_array(json_array(name, number)) FROM (
     SELECT name, count(DISTINCT token) AS number FROM place
     WHERE place.class = way.class AND place.entered_by IS way.entered_by GROUP BY name ORDER BY number DESC, name))
FROM way GROUP BY class, entered_by, handled ORDER BY sum(count) DESC, class, entered_by
"""


def read_findings(connection: sqlite3.Connection, window: Window, as_of_ns: int) -> tuple[FindingFlow, ...]:
    """One row for each class, way in and handling; most found first."""
    rows = connection.execute(_FLOWS, (window.from_ns, window.to_ns, as_of_ns)).fetchall()
    return tuple(FindingFlow(*(*row[:9], tuple(map(tuple, json.loads(row[9]))))) for row in rows)
