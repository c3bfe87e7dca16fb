"""One script runs with many seeds: equal seeds give equal draws, others others, however the script is told of them."""

from collections.abc import Iterator

import pytest
from script_place import Place, script_experiment

from autoresearch_ray.benchmark.script.job import script_slot

DRAWS = """
import copy, pickle, random
print("random alone:", random.random())
random.seed(42)
print("random seeded:", random.random())
print("random of its own:", random.Random(42).random())
print("random shuffled:", random.sample(range(99), 5))
import numpy as np
print("numpy alone:", np.random.rand())
np.random.seed(42)
print("numpy seeded:", np.random.rand())
print("numpy generator:", np.random.default_rng(42).random())
print("numpy state:", np.random.RandomState(42).rand(), pickle.loads(pickle.dumps(np.random.RandomState(42))).rand())
state = np.random.RandomState()
state.seed(42)
print("numpy state seeded:", state.rand())
import torch
print("torch alone:", torch.rand(1).item())
torch.manual_seed(42)
torch.cuda.manual_seed(42)
print("torch seeded:", torch.rand(1).item())
print("torch loader:", next(iter(torch.utils.data.DataLoader(range(999), 5, shuffle=True))).tolist())
print("stays:", torch.Generator().manual_seed(42).initial_seed(), np.random.PCG64(42).state)
assert isinstance(np.random.mtrand._rand, np.random.RandomState) and isinstance(random._inst, random.Random)
assert isinstance(random.SystemRandom(), random.Random) and not isinstance(3, np.random.RandomState)
class Own(random.Random): pass
assert isinstance(Own(1), random.Random) and not isinstance(random.Random(1), Own)
assert copy.deepcopy(random.Random(1)).random() == random.Random(1).random()
print("loss: 1")
"""
TELLS = "import os, random, sys\nprint('told', os.environ.get('MY_SEED'), sys.argv[1:], random.Random(1).random())\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("script")
    experiment = script_experiment(folder / "small")
    with script_slot(experiment) as slot:
        yield Place(slot, experiment, folder)


@pytest.fixture(scope="module")
def draws(place: Place, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """By what they are of, with seeds 1, 1 and 2."""
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTORESEARCH_HOME", str(tmp_path_factory.mktemp("home")))
        for seed in (1, 1, 2):
            assert place.run(DRAWS, seed).status == "ok", place.printed()
            told.append(dict(line.split(": ", 1) for line in place.printed().splitlines()[:-1]))
    return told


def test_equal_seeds_give_equal_draws(draws: list[dict[str, str]]) -> None:
    assert len(draws[0]) == 13 and draws[0] == draws[1]


def test_other_seeds_give_other_draws(draws: list[dict[str, str]]) -> None:
    """But for generators that a script makes itself, for data that are the same in every trial."""
    assert [what for what, value in draws[2].items() if value == draws[0][what]] == ["stays"]


def test_a_script_that_seeds_itself_gets_the_seed_that_is_shifted_by_the_trials(draws: list[dict[str, str]]) -> None:
    """As upstream does, by 42."""
    import random

    import numpy as np
    import torch

    assert draws[0]["random seeded"] == str(random.Random(43).random())
    assert draws[0]["numpy seeded"] == draws[0]["numpy state"].split()[0] == str(np.random.RandomState(43).rand())
    assert draws[0]["numpy generator"] == str(np.random.default_rng(43).random())
    generator = torch.Generator().manual_seed(43)
    assert draws[0]["torch seeded"] == str(torch.rand(1, generator=generator).item())


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("environment MY_SEED", "told 7 [] 0.13436424411240122"),
        ("argument --seed", "told None ['--seed', '7'] 0.13436424411240122"),
        ("argument seed", "told None ['seed', '7'] 0.13436424411240122"),
        ("fixed", "told None [] 0.13436424411240122"),
        ("measurement", "told None [] 0.13436424411240122"),
        ("injected", "told None [] 0.2267058593810488"),
        ("", "told None [] 0.2267058593810488"),
    ],
)
def test_a_seed_is_told_as_the_experiment_says(place: Place, how: str, expected: str) -> None:
    assert place.run(TELLS + "print('loss: 1')", 7, seed=how).status == "ok", place.printed()
    assert place.printed().splitlines()[0] == expected
