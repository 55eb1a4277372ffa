"""The formats that Andon reads, and how it tells them apart: by content, never by a file's name."""

from __future__ import annotations

from collectors.formats.agentops import AgentOps
from collectors.formats.andon import AndonNdjson
from collectors.formats.base import Format
from collectors.formats.claude_agent_sdk import ClaudeAgentSdk
from collectors.formats.claude_code import ClaudeCode
from collectors.formats.codex import Codex
from collectors.formats.copilot import Copilot
from collectors.formats.datadog import Datadog
from collectors.formats.decode import decoded_once
from collectors.formats.gemini import Gemini
from collectors.formats.langfuse import Langfuse
from collectors.formats.langsmith import LangSmith
from collectors.formats.litellm import LiteLLM
from collectors.formats.openai_agents import OpenAIAgents
from collectors.formats.opencode import OpenCode
from collectors.formats.openhands import OpenHands
from collectors.formats.otlp import Otlp
from collectors.formats.pi import Pi
from collectors.formats.span_dump import SpanDump
from collectors.formats.swe_agent import SweAgent

FORMATS: tuple[Format, ...] = (
    AndonNdjson(),
    Pi(),
    ClaudeAgentSdk(),  # before the transcripts, whose assistant rows look alike
    ClaudeCode(),
    Codex(),
    Gemini(),
    Copilot(),
    OpenCode(),
    Langfuse(),
    LangSmith(),
    LiteLLM(),
    OpenAIAgents(),
    Datadog(),
    Otlp(),
    SpanDump(),
    AgentOps(),
    SweAgent(),
    OpenHands(),
)
HEAD_LINES = 20


def recognise(head: list[bytes], *, whole: bool = False) -> Format | None:
    """The format of a file that starts with these complete lines, or None. `whole`: the one line is the whole file."""
    lines = [line for line in head if line.strip()][:HEAD_LINES]
    if not lines:
        return None
    with decoded_once():
        return next((one for one in FORMATS if (one.whole or not whole) and one.recognises(lines)), None)


def by_name(name: str) -> Format | None:
    """The format of that name, or None."""
    return next((one for one in FORMATS if one.name == name), None)
