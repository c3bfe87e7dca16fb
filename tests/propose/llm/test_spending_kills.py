"""The limit holds to the last millionth though the spender is killed again and again with sixteen calls in flight."""

import subprocess
import sys
import time
from pathlib import Path

import wire_spender
from wire import Reply, Say, WireServer
from wire_client import PROMPT

from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.store.sqlite.store import SqliteStore

MOST = wire_spender.RATES.most_micros(PROMPT)
COST = 600 * 3 + 80 * 15
LIMIT_MICROS = 100 * MOST
KILLED_AFTER = (20, 45, 70)  # requests


def spender(state: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, wire_spender.__file__, str(state), url, str(LIMIT_MICROS / 1_000_000)]
    return subprocess.Popen(command)


def test_killed_in_the_middle_of_sixteen_calls_nothing_is_spent_twice_or_beyond_the_limit(tmp_path: Path) -> None:
    state, slow = tmp_path / "state.db", True

    def script(request: object) -> Reply:
        return Say(["an ", "answer"], pause=0.2 if slow else 0.0, input_tokens=600, output_tokens=80)

    with WireServer("openai", script) as server:
        for requests in KILLED_AFTER:
            process = spender(state, server.url)
            while len(server.requests) < requests and process.poll() is None:
                time.sleep(0.01)
            process.kill()
            assert process.wait() == -9
        slow = False
        assert spender(state, server.url).wait(timeout=120) == 0  # and now until nothing is left
        paid_at_most = len(server.requests) * COST  # each request that arrived, billed
    with SqliteStore(state) as store:
        spending = Spending(store, LIMIT_MICROS / 1_000_000)
        charges = spending.charges().values()
        total = spending.sum_spent_micros()
    assert total == sum(charge.micros for charge in charges)
    assert paid_at_most <= total <= LIMIT_MICROS
    assert total > LIMIT_MICROS - MOST  # as much as leaves no room for another call
    killed = [charge for charge in charges if charge.state == "open"]
    assert 3 <= len(killed) <= 3 * 16 and all(charge.micros == MOST for charge in killed)
