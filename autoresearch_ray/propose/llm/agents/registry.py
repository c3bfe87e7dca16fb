"""The known coding agents: how each is called without a person, and how its last words are read.

    agent = find_agent("claude")            # or "claude:MODEL", or a command of one's own
    agent.arguments("Improve train.py.")    # argv, the prompt in it or not
    agent.read(output)                      # its last words, and what it cost

Every agent runs in its documented headless mode, with its own restrictions: it may read and edit files in its folder,
but neither run commands nor browse. The documentation is cited at each.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from autoresearch_ray.propose.llm.spending import Tokens
from autoresearch_ray.records.proposers import MICROS

MALFORMED = (ValueError, TypeError, AttributeError, LookupError)
EVERYBODY = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "TZ", "NODE_EXTRA_CA_CERTS", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
})  # fmt: skip
GROUPS = ("LC_", "XDG_", "SSL_CERT_")  # beginnings of names that everybody gets too


@dataclass(frozen=True, slots=True)
class Said:
    """An agent's last words; `failed` is why it gave up, "" if it did not."""

    words: str = ""
    failed: str = ""
    tokens: Tokens | None = None  # input (with cached and written), cached, written, output
    micros: int | None = None  # millionths of a dollar, by its own count
    model: str = ""


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """One agent's command line."""

    executable: str
    install: str  # how to get it
    arguments: Callable[[str, str], list[str]]  # prompt, model ("" for its own) -> what follows the executable
    read: Callable[[str], Said]
    by_input: bool  # the prompt comes by standard input
    variables: tuple[str, ...]  # beginnings of names of environment variables that are its own
    files: dict[str, str] = field(default_factory=dict)  # its settings files, for its folder


def is_allowed(variable: str, agent: AgentFacts) -> bool:
    """Whether an agent gets this environment variable: its own and what every program needs, no other's key."""
    return variable in EVERYBODY or variable.startswith((*GROUPS, *agent.variables))


def find_agent(name: str) -> tuple[AgentFacts, str]:
    """The agent that `agent:NAME` names, and its model: NAME is one of AGENTS, AGENT:MODEL, or a command."""
    agent, _, model = name.partition(":")
    if agent in AGENTS and " " not in name:
        return AGENTS[agent], model
    words = shlex.split(name)
    own = AgentFacts(
        words[0],
        f"a program that is on the PATH; or one of {', '.join(AGENTS)}",
        lambda prompt, model: words[1:],
        _plain,
        by_input=True,
        variables=("AGENT_",),
    )
    return own, ""


def _claude(prompt: str, model: str) -> list[str]:
    # https://code.claude.com/docs/en/headless and .../cli-reference: the prompt may come by standard input
    tools = ["--allowedTools", "Read,Edit,Write,Glob,Grep", "--disallowedTools", "Bash,WebFetch,WebSearch"]
    walls = ["--permission-mode", "acceptEdits", *tools, "--strict-mcp-config"]
    return ["-p", "--output-format", "json", *walls, *(["--model", model] if model else [])]


def _read_claude(output: str) -> Said:
    said = json.loads(output)
    usage, cost = said.get("usage") or {}, said.get("total_cost_usd")
    cached, written = int(usage.get("cache_read_input_tokens", 0)), int(usage.get("cache_creation_input_tokens", 0))
    given = int(usage.get("input_tokens", 0)) + cached + written
    words = str(said.get("result") or "")
    return Said(
        words,
        (words or str(said.get("subtype"))) if said.get("is_error") else "",
        (given, cached, written, int(usage.get("output_tokens", 0))),
        None if cost is None else round(float(cost) * MICROS),
        ", ".join(said.get("modelUsage") or {}),
    )


def _codex(prompt: str, model: str) -> list[str]:
    # https://developers.openai.com/codex/noninteractive.md: `-` reads the prompt from standard input
    walls = ["--sandbox", "workspace-write", "--skip-git-repo-check"]
    return ["exec", "--json", *walls, *(["--model", model] if model else []), "-"]


def _read_codex(output: str) -> Said:
    said = Said()
    tokens = [0, 0, 0, 0]
    for event in _lines(output):
        kind, item = event.get("type"), event.get("item") or {}
        if kind == "item.completed" and "agent_message" in (item.get("type"), item.get("item_type")):
            said = Said(str(item.get("text") or ""))
        elif kind == "turn.completed":
            usage = event.get("usage") or {}
            for index, name in enumerate(("input_tokens", "cached_input_tokens", "", "output_tokens")):
                tokens[index] += int(usage.get(name, 0))
        elif kind in ("turn.failed", "error"):
            error = event.get("error") or event
            return Said(said.words, str(error.get("message") or kind))
    return Said(said.words, tokens=(tokens[0], tokens[1], tokens[2], tokens[3]))


def _gemini(prompt: str, model: str) -> list[str]:
    # https://geminicli.com/docs/cli/headless.md
    walls = ["--approval-mode", "auto_edit"]
    return ["-p", prompt, "--output-format", "json", *walls, *(["--model", model] if model else [])]


def _read_gemini(output: str) -> Said:
    said = json.loads(output)
    error = said.get("error") or {}
    models = (said.get("stats") or {}).get("models") or {}
    counts = [(model.get("tokens") or {}) for model in models.values()]
    given, cached = (sum(int(count.get(name, 0)) for count in counts) for name in ("prompt", "cached"))
    made = sum(int(count.get("candidates", 0)) + int(count.get("thoughts", 0)) for count in counts)
    failed = str(error.get("message") or error) if error else ""
    return Said(str(said.get("response") or ""), failed, (given, cached, 0, made), None, ", ".join(models))


def _opencode(prompt: str, model: str) -> list[str]:
    # https://opencode.ai/docs/cli and .../permissions: what would ask is denied by its settings file
    return ["run", "--format", "json", *(["--model", model] if model else []), prompt]


def _read_opencode(output: str) -> Said:
    words, dollars, tokens = "", 0.0, [0, 0, 0, 0]
    for event in _lines(output):
        kind, part = event.get("type"), event.get("part") or {}
        if kind == "text":
            words = str(part.get("text") or "")
        elif kind == "step_finish":
            count = part.get("tokens") or {}
            cache = count.get("cache") or {}
            cached, written = int(cache.get("read", 0)), int(cache.get("write", 0))
            step = (int(count.get("input", 0)) + cached + written, cached, written,
                    int(count.get("output", 0)) + int(count.get("reasoning", 0)))  # fmt: skip
            tokens = [before + more for before, more in zip(tokens, step, strict=True)]
            dollars += float(part.get("cost") or 0.0)
        elif kind == "error":
            error = event.get("error") or {}
            return Said(words, str((error.get("data") or {}).get("message") or error.get("name") or error))
    counts = (tokens[0], tokens[1], tokens[2], tokens[3])
    return Said(words, tokens=counts, micros=round(dollars * MICROS) or None)


def _plain(output: str) -> Said:
    """The last paragraph that a command of one's own prints."""
    return Said(output.strip().rpartition("\n\n")[2])


def _lines(output: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of an output that has one a line; what is cut off or is none is passed over."""
    for line in output.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


_OPENCODE_SETTINGS = json.dumps(
    {"permission": {"*": "deny", "read": "allow", "edit": "allow", "glob": "allow", "grep": "allow", "list": "allow"}}
)
_ALL_KEYS = ("ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "OPENROUTER_", "OPENCODE_")

AGENTS: dict[str, AgentFacts] = {
    "claude": AgentFacts(
        "claude", "npm install -g @anthropic-ai/claude-code", _claude, _read_claude, True, ("ANTHROPIC_", "CLAUDE_")
    ),
    "codex": AgentFacts("codex", "npm install -g @openai/codex", _codex, _read_codex, True, ("OPENAI_", "CODEX_")),
    "gemini": AgentFacts(
        "gemini", "npm install -g @google/gemini-cli", _gemini, _read_gemini, False, ("GEMINI_", "GOOGLE_")
    ),
    "opencode": AgentFacts(
        "opencode",
        "npm install -g opencode-ai",
        _opencode,
        _read_opencode,
        False,
        _ALL_KEYS,  # it asks any provider
        {"opencode.json": _OPENCODE_SETTINGS},
    ),
}
