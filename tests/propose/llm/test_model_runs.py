"""A whole run with language models behind each provider's real protocol: a good idea is tried and wins, bad ones cost
no slot, models that fail delay nothing, and no key is anywhere afterwards."""

import gzip
import itertools
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_run import CANDIDATE, start_launch, write_experiment
from wire import PROTOCOLS, Drop, Fail, Protocol, Reply, Request, Say, Script, WireServer

from autoresearch_ray import load_trials
from autoresearch_ray.store.history import read_history

pytestmark = pytest.mark.alone

SECRET = "sk-planted-3f9c1e77a5b24d0e"
MODELS = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash", "openai": "gpt-5-mini"}
VARIABLES = {
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
}
TIMID = (  # a start that no tuner mends
    CANDIDATE.replace("0.1  # SGD learning rate; search log(0.001, 10.0)", "0.01  # rate; search log(0.0099, 0.0101)")
    .replace("search log_int(4, 64)", "search log_int(15, 17)")
    .replace("search log_int(2, 32)", "search log_int(4, 5)")
)
GOOD = "Adam scales each weight's step by itself, which rare tokens need."
STEP = "    optimizer = torch.optim.SGD(model.parameters(), lr=LR)\n"
WON = "\n    optimizer = torch.optim.Adam("
LOSS = "        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())\n"
END = "    return model\n"


def idea(number: int, hypothesis: str, search: str, replace: str) -> str:
    blocks = f"<<<<<<< SEARCH\n{search}=======\n{replace}>>>>>>> REPLACE\n"
    return f"<idea {number}>\nhypothesis: {hypothesis}\nexpected: -0.1\n{blocks}</idea>\n"


def adam(rate: float) -> str:
    return idea(1, GOOD, STEP, STEP.replace("SGD", "Adam").replace("LR", f"{rate:.4f}"))


FIRST: dict[Protocol, str] = {  # of each model, on lines of its own; one is a great gain
    "anthropic": adam(0.03),
    "gemini": idea(1, "Scoring wants no training mode.", END, f"    model.eval()\n{END}"),
    "openai": idea(
        1, "A sum is as good.", LOSS, LOSS.replace("y.flatten())", "y.flatten(), reduction='sum') / y.numel()")
    ),
}
NO_SUCH_LINE = idea(2, "Momentum helps.", "    optimiser = torch.optim.AdamW()\n", "    pass\n")
FORBIDDEN = idea(3, "Look for the answers.", "import torch\n", "import os\n\nimport torch\n")
SAME = idea(2, "Another name.", LOSS, f"        # the loss\n{LOSS}")


class ScriptedModel:
    """Good and bad ideas first; mends them into others that fail; then has none, but says the great one again, a little
    changed, while the frontier is without it: a single trial of half a second may starve on a busy machine. Asked to
    bring an idea onto a newer frontier, it says the edit again where that fits, and withdraws it where it stands."""

    def __init__(self, protocol: Protocol) -> None:
        self._insists = protocol == "anthropic"
        short = f"model(x)[:, :-{1 + PROTOCOLS.index(protocol)}]"
        self._alone = FIRST[protocol]
        self._first = self._alone + NO_SUCH_LINE + FORBIDDEN
        self._mended = SAME + idea(3, "Some of the logits.", LOSS, LOSS.replace("model(x)", short))

    def __call__(self, request: Request) -> Reply:
        if "An idea of yours was made from an earlier train.py" in request.text:
            if self._insists and WON in request.text:
                return Say("no longer applies: it stands there already")
            return Say(self._alone)
        if "it is not new" in request.text or "fails the dry run" in request.text:
            return Say("I give up on these.")
        if "its edits do not apply" in request.text:
            return Say(self._mended)
        if request.number == 0:
            return Say(self._first)
        insists = self._insists and f"\n{STEP}" in request.text
        return Say(adam(0.03 + request.number / 10_000) if insists else "Nothing comes to my mind.")


class ByModel:
    """Each of a provider's models has a script of its own, and counts its own requests."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts
        self._numbers = {model: itertools.count() for model in scripts}

    def __call__(self, request: Request) -> Reply:
        script, number = self._scripts[request.model], next(self._numbers[request.model])
        return script(replace(request, number=number)) if callable(script) else script[min(number, len(script) - 1)]


FAULTS: list[Reply] = [
    Fail(429, retry_after="1"),
    Fail(429),
    Fail(500),
    Fail(529),
    Drop(),
    Say("<idea 1>", end="half"),
    Say("<idea 1>\nhypothesis: cut", stop="length"),
    Say("I would rather not.", stop="refusal"),
    Say("", stop="end"),
]
FAULTY, REFUSED = "claude-sonnet-4-5", "gpt-5-nano"
SECOND: dict[Protocol, tuple[str, list[Reply]]] = {  # models of these providers
    "anthropic": (FAULTY, FAULTS),
    "openai": (REFUSED, [Fail(401, kind="invalid_api_key")]),
}
NEWS = "OPENAI_API_KEY"  # in what is said of the one that is refused


@pytest.mark.timeout(400)
def test_a_model_s_idea_is_tried_proven_and_committed_and_bad_ideas_and_models_cost_no_slot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_experiment(tmp_path, candidate=TIMID)
    run, names = tmp_path / "runs" / "x", [f"{protocol}:{MODELS[protocol]}" for protocol in PROTOCOLS]
    bad = [f"anthropic:{FAULTY}", f"openai:{REFUSED}"]
    lines: list[str] = []
    with ExitStack() as stack:
        servers = {name: stack.enter_context(WireServer(name, models_of(name))) for name in PROTOCOLS}
        for protocol, server in servers.items():
            key, address = VARIABLES[protocol]
            monkeypatch.setenv(key, SECRET)
            monkeypatch.setenv(address, server.url)
        options = [word for name in [*names, *bad] for word in ("--proposer", name)]
        launched = start_launch(tmp_path, "e.yaml", "--tag", "x", "--trials", "1000", "--max-cost-usd", "5", *options)
        reader = threading.Thread(target=lines.extend, args=(launched.stdout,))
        reader.start()
        deadline, missing = time.monotonic() + 300, ["all"]
        while launched.poll() is None and missing and time.monotonic() < deadline:
            time.sleep(0.5)
            seen = {
                "the win in git": GOOD in committed(run),
                "a result of each model's idea": tried(run) >= set(names),
                "each model's first conversation": len(first_conversations(run)) == len(names),
                "each model told of its bad idea": all(map(is_told, servers.values())),
                "the faulty model asked again": len(asked(servers["anthropic"], FAULTY)) >= 2,
                "the news of the refused model": any(NEWS in line for line in list(lines)),
            }
            missing = [name for name, so in seen.items() if not so]
        launched.send_signal(signal.SIGINT)
        assert launched.wait(timeout=100) == 130, lines
        reader.join()
    assert not missing, lines[-50:]
    output = "".join(lines)
    assert "Every run of its proof passed at full strength: clock, cores, speed, causal, rows, again" in committed(run)
    table = load_trials(run)
    table = table[table.status != "running"]  # given up when the run was interrupted
    assert set(table.status) <= {"ok", "timeout"}, table[["kind", "status", "error"]]  # a busy core
    for name, server in zip(names, servers.values(), strict=True):
        assert f"{name}: " in output, output
        assert is_told(server)
        assert all(any(SECRET in value for value in request.headers.values()) for request in server.requests)
    code = table[(table.kind == "code") & (table.proposer != "ablation")]  # a slow run may take its wins apart
    ideas = code.groupby("proposer", observed=True).hypothesis.nunique()
    assert set(ideas.index) == set(names) and (ideas == 1).all(), ideas
    assert (table.proposer == "tpe").any(), "the tuner stands in"
    (news,) = [line for line in lines if NEWS in line]
    assert "not asked again in this launch, the others go on" in news and "Traceback" not in output
    assert len(asked(servers["openai"], REFUSED)) <= 2, "the calls that were under way together"
    check_transcripts(run, names)
    check_no_key(tmp_path, output)


def models_of(protocol: Protocol) -> ByModel:
    """A provider's scripted models: one that has ideas, and of two providers one that fails."""
    scripts: dict[str, Script] = {MODELS[protocol]: ScriptedModel(protocol)}
    if protocol in SECOND:
        model, script = SECOND[protocol]
        scripts[model] = script
    return ByModel(scripts)


def asked(server: WireServer, model: str) -> list[Request]:
    """What a model was asked so far."""
    return [request for request in list(server.requests) if request.model == model]


def is_told(server: WireServer) -> bool:
    """Whether the model's last prompt says what became of its bad idea."""
    texts = [request.text for request in asked(server, MODELS[server.protocol])]
    later = [text for text in texts[3:] if "its edits do not apply" not in text]
    return bool(later) and "it failed the dry run, Some of the logits." in later[-1]


def committed(run: Path) -> str:
    """What git says of the proven wins, as one line; "" before the run's first commit."""
    log = ["git", "-C", str(run / "lineage"), "log", "autoresearch/x"]
    return " ".join(subprocess.run(log, capture_output=True, text=True).stdout.split())


def tried(run: Path) -> set[str]:
    """Whose ideas have a result, read beside the living run."""
    if not (run / "state.db").exists():
        return set()
    return {row.trial.proposal.proposer for row in read_history(run / "state.db").rows if row.result}


def first_conversations(run: Path) -> dict[str, Any]:
    """By model, those that have ended: they gave an idea and two rejections."""
    found = [json.loads(gzip.decompress(path.read_bytes())) for path in (run / "calls").glob("*.gz")]
    return {
        held["calls"][0]["who"]: held
        for held in found
        if len(held["outcomes"]) == 3 and any(outcome["kind"] == "idea" for outcome in held["outcomes"])
    }


def check_transcripts(run: Path, names: list[str]) -> None:
    """Each model's first conversation in full: one idea queued, the others rejected for their last reason."""
    conversations = first_conversations(run)
    assert set(conversations) == set(names)
    for first in conversations.values():
        kinds = sorted((held["kind"], held.get("reason", "")) for held in first["outcomes"])
        assert kinds == [("idea", ""), ("rejection", "dry_run"), ("rejection", "duplicate")], first["outcomes"]
        assert len(first["calls"]) == 3
        assert all(call["charge"]["micros"] > 0 and call["answer"]["seconds"] > 0 for call in first["calls"])


def check_no_key(folder: Path, output: str) -> None:
    """No byte of it in what was printed, the run's folder, its git objects, or Ray's logs of the last minutes."""
    assert SECRET not in output
    ray = Path("/tmp/ray/session_latest").resolve()
    found: list[Any] = []
    for root in (folder, ray):
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                content = path.read_bytes()
                if path.suffix == ".gz":
                    content = gzip.decompress(content)
                if SECRET.encode() in content:
                    found.append(path)
    objects = ["git", "-C", str(folder / "runs" / "x" / "lineage"), "cat-file", "--batch-all-objects", "--batch"]
    assert SECRET.encode() not in subprocess.run(objects, check=True, capture_output=True).stdout
    assert found == [], found
    assert os.environ["HOME"], "the search above is of real folders"
