"""Programs that stand in for coding agents: they take and print what each agent's documentation says, or misbehave.

None of the real ones can be asked here, for each wants an account and a network.
"""

import sys
from pathlib import Path

COMMON = """\
import json, os, pathlib, subprocess, sys, time
arguments, here = sys.argv[1:], pathlib.Path.cwd()
def option(name):
    return arguments[arguments.index(name) + 1] if name in arguments else None
def edit(old, new):
    path = here / "train.py"
    text = path.read_text()
    if old not in text:
        sys.exit(f"{old!r} is not in train.py")
    path.write_text(text.replace(old, new))
WORDS = "hypothesis: Adam scales each weight's step by itself.\\nexpected: -0.01"
SGD, ADAM = "torch.optim.SGD(model.parameters(), lr=LR)", "torch.optim.Adam(model.parameters(), lr=0.03)"
"""
# What each reads and prints, as documented; they refuse to run where an argument is not as they want it.
PROTOCOLS = {
    "claude": """\
assert arguments[0] == "-p" and option("--output-format") == "json", arguments
assert option("--permission-mode") == "acceptEdits" and "Edit" in option("--allowedTools"), arguments
assert "Bash" in option("--disallowedTools"), arguments
prompt = sys.stdin.read()
def end(words):
    usage = {"input_tokens": 1200, "cache_read_input_tokens": 800, "cache_creation_input_tokens": 300}
    usage["output_tokens"] = 90
    print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "num_turns": 4, "result": words,
        "session_id": "s", "total_cost_usd": 0.0123, "usage": usage, "modelUsage": {option("--model") or "opus": {}}}))
def fail(words):
    print(json.dumps({"type": "result", "subtype": "error_during_execution", "is_error": True, "result": words}))
    sys.exit(1)
""",
    "codex": """\
assert arguments[:2] == ["exec", "--json"] and arguments[-1] == "-", arguments
assert option("--sandbox") == "workspace-write" and "--skip-git-repo-check" in arguments, arguments
prompt = sys.stdin.read()
def say(**event):
    print(json.dumps(event), flush=True)
say(type="thread.started", thread_id="t")
say(type="turn.started")
def end(words):
    say(type="item.completed", item={"id": "item_0", "type": "reasoning", "text": "thinking"})
    say(type="item.completed", item={"id": "item_1", "type": "agent_message", "text": words})
    say(type="turn.completed", usage={"input_tokens": 2300, "cached_input_tokens": 800, "output_tokens": 90})
def fail(words):
    say(type="turn.failed", error={"message": words})
    sys.exit(1)
""",
    "gemini": """\
prompt = option("-p")
assert prompt and option("--output-format") == "json" and option("--approval-mode") == "auto_edit", arguments
assert not sys.stdin.read()
def end(words):
    tokens = {"prompt": 2300, "candidates": 60, "thoughts": 30, "cached": 800, "total": 2390}
    print(json.dumps({"response": words, "stats": {"models": {"gemini-pro": {"api": {}, "tokens": tokens}}}}))
def fail(words):
    print(json.dumps({"error": {"type": "ApiError", "message": words, "code": 1}}))
    sys.exit(1)
""",
    "opencode": """\
assert arguments[:3] == ["run", "--format", "json"], arguments
permission = json.loads((here / "opencode.json").read_text())["permission"]
assert permission["*"] == "deny" and permission["edit"] == "allow", permission
prompt = arguments[-1]
def say(**event):
    print(json.dumps(event), flush=True)
def end(words):
    for reason, text, tokens in (("tool-calls", "I look.", (500, 60)), ("stop", words, (1000, 30))):
        say(type="step_start", part={"type": "step-start"})
        say(type="text", part={"type": "text", "text": text})
        counted = {"input": tokens[0], "output": tokens[1], "reasoning": 0, "cache": {"read": 400, "write": 0}}
        say(type="step_finish", part={"type": "step-finish", "reason": reason, "cost": 0.00615, "tokens": counted})
def fail(words):
    say(type="error", error={"name": "ProviderAuthError", "data": {"message": words}})
    sys.exit(1)
""",
    "own": """\
prompt = sys.stdin.read()
def end(words):
    print("Some talk before.\\n\\n" + words)
def fail(words):
    sys.exit(words)
""",
}


def install(folder: Path, name: str, body: str, protocol: str = "") -> Path:
    """An executable of this name that speaks the protocol of `protocol` (its own name's, if not said)."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{COMMON}{PROTOCOLS[protocol or name]}{body}")
    path.chmod(0o755)
    return path
