"""Command lines of databases."""

from __future__ import annotations

import re

from collectors.enrich.effects import http, sql
from collectors.enrich.effects.programs import SQL_CLIENTS
from collectors.enrich.effects.shell_common import Call, options_and_rest, short, unknown, value_of
from collectors.enrich.effects.verdict import Found
from collectors.enrich.effects.words import words

_VALUES = frozenset({"-h", "-U", "-p", "-P", "-u", "-f", "--host", "--port", "-o", "-v"})
_META_READS = re.compile(r"\\(d|l|z|s[fv]|conninfo|\?)|\.(tables|schema|dump|indexes|databases|mode|headers)")
_REDIS_READS = words(
    """
    GET MGET HGETALL KEYS INFO PING TTL PTTL TYPE EXISTS DBSIZE SMEMBERS SISMEMBER ZSCORE ZRANK MONITOR TIME ECHO
    MEMORY LASTSAVE
    """
)
_REDIS_DESTROYS = frozenset({"DEL", "UNLINK", "FLUSHALL", "FLUSHDB", "HDEL", "SREM", "ZREM", "LPOP", "RPOP"})


def sql_client(call: Call) -> list[Found]:
    """psql, mysql, sqlite3 and their like: the statements of an option, an operand or a here document."""
    system, with_sql, with_database = SQL_CLIENTS[call.program]
    rest = options_and_rest(call.arguments, with_sql | with_database | _VALUES)[1]
    database = value_of(call.arguments, *with_database) or (rest[0] if rest else None)
    if database and "://" in database:
        database = http.place(database)
    given = value_of(call.arguments, *with_sql)
    if given is None and call.program in ("sqlite3", "duckdb") and len(rest) > 1:
        given = rest[1]
    if given is None:
        given = next((word[2:] for word in call.arguments if word[:2] in ("-e", "-c") and len(word) > 2), call.text)
    if given is None:
        if call.has("-l", "--list", "--version", "-V", "--help"):
            return []
        script = value_of(call.arguments, "-f", "--file")
        operation = "script" if script or call.is_fed else "session"
        return [Found(system, operation, short(script or database), "unknown", basis="unknown")]
    if given.lstrip()[:1] in ("\\", "."):  # a command of the client: \dt, .tables
        return [] if _META_READS.match(given.lstrip()) else unknown(call.program)
    return sql.effects(given, system, short(database))


def redis(call: Call) -> list[Found]:
    rest = options_and_rest(call.arguments, frozenset({"-h", "-p", "-n", "-a", "-u", "--user", "--pass"}))[1]
    if not rest:
        return unknown(call.program) if call.text or call.is_fed else []
    verb = rest[0].upper()
    if verb in _REDIS_READS or (verb.endswith(("GET", "RANGE", "LEN", "CARD", "SCAN")) and verb != "GETSET"):
        return []
    reversible = "no" if verb in _REDIS_DESTROYS else "unknown"
    return [Found("redis", verb[:80], short(rest[1]) if len(rest) > 1 else None, reversible)]


def mongo(call: Call) -> list[Found]:
    """mongosh: its script is a program; only plain finds are told to be reads."""
    script = value_of(call.arguments, "--eval") or call.text
    database = next((word for word in call.arguments if word[:1] != "-" and word != script), None)
    place = http.place(database) if database and "://" in database else database
    if (
        script
        and re.search(r"\.(find|findOne|count\w*|aggregate|stats|distinct|getIndexes)\s*\(|\bshow\s", script)
        and not re.search(
            r"\.(insert|update|delete|drop|remove|replace|create|rename|bulkWrite|save|findAndModify|findOneAnd)\w*\s*\(|\$out|\$merge",
            script,
        )
    ):
        return []
    match = re.search(
        r"(?:db\.)?\b([\w$]{1,64})\.(insert|update|delete|drop|remove|replace|create|rename|bulkWrite)\w*\s*\(",
        script or "",
    )
    if match is None:
        return [Found("mongodb", "script" if script else "session", short(place), "unknown", basis="unknown")]
    reversible = "yes" if match[2] in ("insert", "create") else "no"
    return [Found("mongodb", match[2], short(match[1]), reversible)]
