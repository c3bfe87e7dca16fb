"""A whole run's limit holds on the provider's own bill: sixteen calls in flight, a kill in the middle, a resume."""

import signal
import time
from pathlib import Path

import pytest
from small_run import descendants, start_launch, wait_gone, write_experiment
from wire import Request, Say, WireServer

from autoresearch_ray.propose.llm.prices import find_price
from autoresearch_ray.propose.llm.spending import Spending
from autoresearch_ray.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.alone

MODELS = (
    "gpt-5-nano", "gpt-6-luna", "gpt-5.4-nano", "gpt-5.6-luna", "gpt-4.1-mini", "gpt-5-mini", "gpt-5.4-mini", "gpt-5.1"
)  # fmt: skip
LIMIT_DOLLARS = 1.0  # the first two calls of each reserve 0.8
STEP = "    optimizer = torch.optim.SGD(model.parameters(), lr=LR)\n"
SECONDS_A_CALL = 6.0


def costly(request: Request) -> Say:
    """Ideas that are new, and as many tokens as the call has room for: a token a byte, and the whole answer."""
    value = f"lr=LR * {1 + request.number / 1000}"
    blocks = f"<<<<<<< SEARCH\n{STEP}=======\n{STEP.replace('lr=LR', value)}>>>>>>> REPLACE\n"
    answer = f"<idea 1>\nhypothesis: A little faster.\nexpected: -0.001\n{blocks}</idea>\n"
    most = request.body["max_tokens"]
    return Say(answer, wait=SECONDS_A_CALL, input_tokens=len(request.text.encode()), output_tokens=most)


def bill_micros(request: Request) -> int:
    """What the provider charges for a request, answered or not."""
    price, reply = find_price("openai", request.model), costly(request)
    assert price is not None and reply.input_tokens and reply.output_tokens
    return price.micros(reply.input_tokens, 0, 0, reply.output_tokens)


@pytest.mark.timeout(300)
def test_killed_with_sixteen_calls_in_flight_and_resumed_a_run_is_never_billed_more_than_its_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_address: str
) -> None:
    write_experiment(tmp_path)
    options = ["--tag", "x", "--trials", "1000", "--slots", "2", "--max-cost-usd", str(LIMIT_DOLLARS)]
    options += ["--address", ray_address]
    options += [word for model in MODELS for word in ("--proposer", f"openai:{model}")]
    with WireServer("openai", costly) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-scripted-provider")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        driver = start_launch(tmp_path, "e.yaml", *options)
        while len(server.requests) < 2 * len(MODELS) and driver.poll() is None:
            time.sleep(0.02)
        family, now = descendants(driver.pid), time.monotonic()
        driver.kill()
        driver.communicate(timeout=60)
        in_flight = [request for request in server.requests if now - request.at < SECONDS_A_CALL]
        for left in wait_gone(family):
            left.kill()
        resumed = start_launch(tmp_path, "--resume", *options)
        assert resumed.stdout is not None
        told = next((line for line in resumed.stdout if "leaves no room" in line), "")
        resumed.send_signal(signal.SIGINT)
        output = resumed.communicate(timeout=100)[0]
        billed = sum(map(bill_micros, server.requests))
    assert 12 <= len(in_flight) <= 16, "two calls of each model, not more"
    assert f"--max-cost-usd ${LIMIT_DOLLARS:.2f} leaves no room" in told, output
    assert resumed.returncode == 130, output
    with SqliteStore(tmp_path / "runs" / "x" / "state.db") as store:
        total = Spending(store, LIMIT_DOLLARS).sum_spent_micros()
    assert 0 < billed <= total <= LIMIT_DOLLARS * 1e6
