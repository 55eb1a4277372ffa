"""Tools by their name: those that only work inside the agent, and verbs that tell a read from a write."""

from __future__ import annotations

import re
from itertools import pairwise

from collectors.enrich.effects.verdict import READ_BY_NAME, Verdict, one
from collectors.enrich.effects.words import words

READ_VERBS = words(
    """
    get list read search find fetch query view show describe lookup look check count inspect browse scan peek
    preview poll watch monitor status info whoami ping verify validate analyze analyse calculate compute
    calculator compare summarize summarise explain retrieve recall load open scroll goto glob grep ls cat tree
    stat head tail diff think plan ask wait sleep detect estimate evaluate extract parse translate render convert
    format classify rank sum average navigate screenshot snapshot hover is has can select resolve lint test
    measure download decompile disassemble tokenize embed help weather time date now geocode forecast console
    observe
    """
)
WRITE_VERBS = words(
    """
    send create update delete post put patch pay refund write edit add remove set insert upsert append save store
    upload publish deploy execute exec run start stop restart cancel approve reject submit transfer charge book
    schedule invite assign close reopen merge push commit drop truncate purge destroy terminate kill enable
    disable grant revoke subscribe unsubscribe reply forward comment notify email message tweet share move rename
    copy replace apply install uninstall sync import modify change reset rotate archive restore lock unlock
    register unregister sign order buy sell purchase place issue mint burn withdraw deposit trigger invoke
    provision decommission scale rollback migrate launch call dial click type fill press drag tap evaluate_script
    label unlabel react pin unpin mark resolve_issue wipe erase
    """
)
_READERS = words("retriever reader searcher finder fetcher lookup calculator viewer")
_JOINS = frozenset({"or", "and", "then"})
_SPLIT = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

# Tools that work inside the agent or on its own notes: no effect of their own. A sub-agent logs its calls itself.
INTERNAL = words(
    """
    todowrite todoread todo_write todo_read update_todos write_todos task agent dispatch_agent exitplanmode
    exit_plan_mode enterplanmode enter_plan_mode askuserquestion ask_user_question ask_user ask_followup_question
    bashoutput bash_output taskoutput read_bash list_bash skill slashcommand toolsearch tool_search
    listmcpresourcestool readmcpresourcetool listmcpresources readmcpresource update_plan view_image report_intent
    think finish submit final_answer final_output attempt_completion complete_task delegate handoff structuredoutput
    structured_output sequentialthinking sequential_thinking websearch web_search google_web_search
    web_search_call web_search_preview file_search tool_search_tool codebase_search search_file_content
    read_many_files list_directory read_file readfile glob grep ls read view list_dir list_files search_files
    find_file search_dir search_file scroll_up scroll_down goto list_code_definition_names read_lints
    get_diagnostics lsp handoff_to_agent transfer_to_agent wait_agent open cat_file enterworktree exitworktree
    switch_mode taskget tasklist taskcreate taskupdate taskstop sendmessage tasks retrieve memory_search
    """
)
_SYSTEMS = {
    **dict.fromkeys(("email", "mail", "gmail", "outlook", "smtp"), "email"),
    **dict.fromkeys(("slack",), "slack"),
    **dict.fromkeys(("sms", "twilio"), "sms"),
    **dict.fromkeys(("stripe",), "stripe"),
    **dict.fromkeys(("github",), "github"),
    **dict.fromkeys(("gitlab",), "gitlab"),
    **dict.fromkeys(("jira",), "jira"),
    **dict.fromkeys(("notion",), "notion"),
    **dict.fromkeys(("calendar",), "calendar"),
    **dict.fromkeys(("file", "directory", "folder"), "files"),
    **dict.fromkeys(("memory", "memories"), "memory"),
}
NEVER_BACK = words(
    """
    send delete pay refund transfer email post publish purge destroy wipe erase drop notify tweet charge message reply
    forward truncate terminate
    """
)
"""Verbs whose effect nobody can call back."""


def words_of(name: str) -> list[str]:
    """`sendEmail`, `send-email` and `send_email` -> ["send", "email"]."""
    return [word.lower() for word in _SPLIT.findall(name[:200])]


def verb_of(words: list[str]) -> tuple[str | None, bool]:
    """(the first verb, whether the name tells of a write). `get_or_create` and `read_write` write."""
    if words and words[-1] in _READERS:
        return words[-1], False
    for number, word in enumerate(words):
        if word in WRITE_VERBS:
            return word, True
        if word in READ_VERBS:
            rest = words[number + 1 :]
            joined = any(a in _JOINS and b in WRITE_VERBS for a, b in pairwise(rest))
            return word, joined or "write" in rest
    return None, False


def system_of(words: list[str], name: str) -> str:
    """The system that a name speaks of, else the tool itself, as agents.toml has it where it declares none."""
    return next((_SYSTEMS[word] for word in words if word in _SYSTEMS), name)


def judge(name: str, resource: str | None) -> Verdict:
    """A tool of which only the name says something; `unknown` where that says nothing either."""
    words = words_of(name)
    verb, writes = verb_of(words)
    if verb is None:
        return one("unknown", name, resource, "unknown", basis="unknown")
    if not writes:
        return READ_BY_NAME
    return one(system_of(words, name), name, resource, "no" if verb in NEVER_BACK else "unknown", basis="name")
