"""`python -m autoresearch_ray.propose`: what one call sends, and what it gets."""

from pathlib import Path

import pytest
from small_run import write_experiment
from wire import Fail, Say, WireServer

from autoresearch_ray.propose import __main__ as consult

KEY = "sk-consult-0123456789"
STEP = "    optimizer = torch.optim.SGD(model.parameters(), lr=LR)\n"
GOOD = (
    f"<idea 1>\nhypothesis: Adam is better.\nexpected: -0.1\n<<<<<<< SEARCH\n{STEP}=======\n"
    f"{STEP.replace('SGD', 'Adam')}>>>>>>> REPLACE\n</idea>\n"
    "<idea 2>\nhypothesis: Look elsewhere.\nexpected: -0.1\n<<<<<<< SEARCH\nimport torch\n=======\nimport os\n"
    "import torch\n>>>>>>> REPLACE\n</idea>\n"
)


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("AUTORESEARCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    write_experiment(tmp_path)
    return [str(tmp_path / "e.yaml"), "--proposer", "anthropic:claude-haiku-4-5"]


def test_a_dry_run_prints_the_prompt_and_sends_nothing(
    asking: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer("anthropic", [Say("never")]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert consult.main([*asking, "--dry-run", "--ideas", "2"]) == 0
        assert server.requests == []
    printed = capsys.readouterr().out
    assert "Propose 2 ideas" in printed and STEP.strip() in printed and KEY not in printed


def test_an_asking_prints_each_idea_as_a_diff_or_with_its_reason(
    asking: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer("anthropic", [Say(GOOD), Say("I give up.")]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert consult.main(asking) == 0
        assert "os" in server.requests[1].text.split("refuses it", 1)[1]
    printed = capsys.readouterr().out
    assert "idea 1: Adam is better.\n" in printed and "+    optimizer = torch.optim.Adam(" in printed
    assert "idea 2: Look elsewhere.\n" in printed and "rejected (rule): " in printed


def test_a_wrong_key_is_one_line(
    asking: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with WireServer("anthropic", [Fail(401, kind="authentication_error")]) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert consult.main(asking) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "ANTHROPIC_API_KEY" in lines[0] and KEY not in lines[0]


def test_a_tuner_cannot_be_asked(asking: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert consult.main([asking[0], "--proposer", "tpe"]) == 2
    assert "is no language model" in capsys.readouterr().err
