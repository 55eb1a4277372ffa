"""SQL: which statements write, and to which table. Words are looked for, nothing is parsed for good."""

from __future__ import annotations

import re
from typing import Any

from collectors.enrich.effects.verdict import READ_BY_ARGUMENT, Found, Verdict, verdict_of
from collectors.enrich.effects.words import words

_MAX_CHARS = 20_000
_MAX_STATEMENTS = 100
# What is not closed goes on to the end: every character is looked at once.
_NOISE = re.compile(r"'(?:[^'\\]|''|\\.)*(?:'|\\?\Z)|--[^\n]*|/\*(?:(?!\*/).)*(?:\*/|\Z)", re.DOTALL)
_NAME = r'((?:[\w$]+|"[^"]*"|`[^`]*`|\[[^\]]*\])(?:\s*\.\s*(?:[\w$]+|"[^"]*"|`[^`]*`|\[[^\]]*\])){0,3})'
_OF = r"(?:TABLE|VIEW|MATERIALIZED\s+VIEW|INDEX|DATABASE|SCHEMA|USER|ROLE|SEQUENCE|FUNCTION|TRIGGER|TYPE|EXTENSION)"
_WRITES = re.compile(
    rf"""\b(?:
      (?P<insert>INSERT\s+(?:OR\s+\w+\s+|IGNORE\s+|OVERWRITE\s+)?(?:INTO\s+)?(?:TABLE\s+)?|REPLACE\s+INTO\s+|MERGE\s+(?:INTO\s+)?|UPSERT\s+INTO\s+
        |COPY\s+|LOAD\s+DATA\s+.{{0,200}}?INTO\s+TABLE\s+){_NAME}
    | (?P<update>UPDATE\s+(?:ONLY\s+)?){_NAME}\s+(?:(?:AS\s+)?[\w$]+\s+)?SET\b
    | (?P<delete>DELETE\s+FROM\s+(?:ONLY\s+)?|TRUNCATE\s+(?:TABLE\s+)?){_NAME}
    | (?P<drop>DROP\s+(?:TEMPORARY\s+)?{_OF}\s+(?:CONCURRENTLY\s+)?(?:IF\s+EXISTS\s+)?){_NAME}
    | (?P<create>CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+|UNLOGGED\s+|UNIQUE\s+|VIRTUAL\s+)?{_OF}\s+
        (?:CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?){_NAME}
    | (?P<alter>ALTER\s+{_OF}\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?|RENAME\s+TABLE\s+){_NAME}
    | (?P<into>SELECT\s[^;]{{1,2000}}?\sINTO\s+(?:TEMP(?:ORARY)?\s+)?(?:TABLE\s+)?)(?!OUTFILE){_NAME}
    )""",
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_REVERSIBLE = {"insert": "yes", "create": "yes", "into": "yes", "alter": "unknown"}
_READS = words(
    """
    select with show describe desc explain use set begin start commit rollback end pragma values table analyze
    savepoint release list fetch declare close help
    """
)
_FIRST = re.compile(r"[\s(]*([A-Za-z]+)")
_FUNCTION_WRITES = re.compile(
    r"\b(pg_terminate_backend|pg_cancel_backend|nextval|setval|lo_unlink|pg_advisory_lock|dblink_exec)\s*\(",
    re.IGNORECASE,
)
_STARTS = re.compile(
    r"[\s(]*(?:--[^\n]*\n\s*)*(?:SELECT|WITH|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM|CREATE\s+\w+|ALTER\s+\w+|DROP\s+\w+"
    r"|TRUNCATE|MERGE\s+INTO|REPLACE\s+INTO|EXPLAIN|SHOW|DESCRIBE|PRAGMA|GRANT|REVOKE|CALL|EXEC(?:UTE)?|VACUUM|COPY)\b",
    re.IGNORECASE,
)
_KEYS = ("sql", "statement", "sql_query", "sqlQuery", "query")
_KEY_SET = frozenset(_KEYS)
_SYSTEMS = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "psql": "postgres",
    "supabase": "supabase",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "bigquery": "bigquery",
    "snowflake": "snowflake",
    "redshift": "redshift",
    "clickhouse": "clickhouse",
    "duckdb": "duckdb",
    "mssql": "sqlserver",
}


def statements_of(arguments: dict[str, Any]) -> str | None:
    """The SQL among a tool's arguments, or None. A `query` counts only where it reads like SQL."""
    if _KEY_SET.isdisjoint(arguments):
        return None
    for key in _KEYS:
        text = arguments.get(key)
        if isinstance(text, str) and text and (key != "query" or _STARTS.match(text)):
            return text
    return None


def effects(sql: str, system: str, database: str | None = None) -> list[Found]:
    """What the statements write, in their order; [] where all of them only read."""
    found: list[Found] = []
    text = _NOISE.sub(_kept, sql[:_MAX_CHARS])
    for statement in text.split(";")[:_MAX_STATEMENTS]:
        first = _FIRST.match(statement)
        if first is None:
            continue
        word = first[1].lower()
        if word == "explain" and not re.match(r"[\s(]*EXPLAIN\s*\(?\s*ANALY[SZ]E", statement, re.IGNORECASE):
            continue
        if word == "pragma" and "=" not in statement:
            continue
        own = [_found(match, system, database) for match in _WRITES.finditer(statement)]
        if word == "copy" and re.search(r"\bTO\b", statement, re.IGNORECASE):
            continue
        if not own and (word not in _READS or word == "pragma" or _FUNCTION_WRITES.search(statement)):
            own = [Found(system, word.upper(), database, "unknown")]
        found += own
    if len(sql) > _MAX_CHARS:
        found.append(Found(system, "script", database, "unknown", basis="unknown"))
    return found


def judge(sql: str, tool: str, server: str | None = None) -> Verdict:
    """A tool that was handed SQL. Its system: the MCP server, the database that the tool's name names, else `sql`."""
    low = tool.lower()
    system = server or next((own for word, own in _SYSTEMS.items() if word in low), "sql")
    found = effects(sql, system)
    return verdict_of(found) if found else READ_BY_ARGUMENT


def _found(match: re.Match[str], system: str, database: str | None) -> Found:
    kind = next(name for name, value in match.groupdict().items() if value is not None)
    operation = " ".join(match[kind].split()[: 2 if kind in ("drop", "create", "alter") else 1]).upper()
    if kind == "into":
        operation = "SELECT INTO"
    table = next(value for value in match.groups()[::-1] if value is not None)
    table = re.sub(r"\s*\.\s*", ".", table).replace('"', "").replace("`", "").strip("[]")
    return Found(system, operation, table or database, _REVERSIBLE.get(kind, "no"))


def _kept(match: re.Match[str]) -> str:
    """A literal becomes an empty one, a comment a space: nothing in them is a statement."""
    return "''" if match[0][0] == "'" else " "
