"""A dry run finds what would waste a slot, says it with the place, and lets pass what trains."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from autoresearch_ray.benchmark.data.dataset import open_dataset
from autoresearch_ray.benchmark.trial.dryrun import DryRunner, dry_run, write_random_rows
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.candidate.knobs import set_constants
from autoresearch_ray.settings.experiment import Experiment
from autoresearch_ray.settings.experiment_file import load_experiment

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = {"DEPTH": 2, "WIDTH": 32, "BATCH_ROWS": 4, "MICRO_ROWS": 64}
SHIPPED = set_constants((EXPERIMENTS / "train.py").read_text(), SMALL)
END = "        model.zero_grad(set_to_none=True)\n    return model\n"
STEP = "        task.report(backward(forward, x, y))\n"
MASK = "torch.full(scores.shape[-2:], -1e4, dtype=scores.dtype).triu(1)"

WRONG = {
    "a typo": ("self.smear_gate).unsqueeze", "self.smear_gat).unsqueeze", "has no attribute 'smear_gat' (train.py:"),
    "a name that is nowhere": (STEP, f"{STEP}        count += 1\n", "UnboundLocalError"),
    "a wrong shape": ("norm(x), mlp[i])", "norm(x), mlp[i])[:, :3]", "size of tensor a"),
    "a wrong type of numbers": ("norm(x), self.unembed)", "norm(x), self.unembed.half())", "dtype"),
    "too few logits": ("self.unembed).float()", "self.unembed[:-1]).float()", "the model returned (4, 32, 299)"),
    "no model": (END, END.replace("return model", "return None"), "train returned NoneType"),
    "a list of models": (END, END.replace("return model", "return [model]"), "train returned list"),
    "no batches": ("enumerate(task.batches(rows), 1)", "enumerate([], 1)", "without asking for a batch"),
    "an error in the second step alone": (STEP, f"{STEP}        assert step < 2, 'second'\n", "AssertionError: second"),
    "an error at the end of the budget": (END, f"{END[:-17]}    assert task.clock.progress < 1\n", "AssertionError"),
    "an error in the optimiser": ("group['lr'] * max(", "group['rate'] * max(", "KeyError: 'rate'"),
    "a graph used twice": (
        STEP,
        f"{STEP}        if step == 1:\n            kept = model.residual.square().sum()\n        kept.backward()\n",
        "backward through the graph a second time",
    ),
    "weights that are not finite": (
        END,
        END.replace("    return", "    model.residual.data.mul_(math.nan)\n    return"),
        "logits from nan to nan",
    ),
    "a look ahead": (MASK, "0 * scores[0, 0]", "depend on tokens after its position"),
    "a look at other rows": (
        "        first = x\n",
        "        first = x = x + 0.1 * x.flip(0)\n",
        "the model's predictions depend on",
    ),
    "a model that cannot be saved": (
        END,
        f"{END[:-17]}    model.gate = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))\n    return model\n",
        "the model cannot be saved",
    ),
    "CUDA whatever the device": (".to(task.device)\n    both", ".cuda()\n    both", "use task.device"),
    "an exit": (STEP, f"{STEP}        raise SystemExit(0)\n", "SystemExit"),
}


@pytest.fixture(scope="module")
def slot() -> Iterator[Slot]:
    with Slot(threads=1) as slot:
        yield slot


@pytest.fixture
def small(make: Callable[..., Experiment]) -> Experiment:
    return make(budget_seconds=300.0)


def changed(old: str, new: str) -> str:
    old, new = old.replace("'", '"') if old.startswith("group") else old, new
    assert SHIPPED.count(old) == 1, old
    return SHIPPED.replace(old, new)


@pytest.mark.parametrize("what", WRONG)
def test_it_finds(slot: Slot, small: Experiment, what: str) -> None:
    old, new, said = WRONG[what]
    found = dry_run(slot, changed(old, new), small)
    assert found is not None and said in found
    assert len(found) < 5000 and "site-packages" not in found and "benchmark" not in found


def test_it_lets_the_shipped_candidate_pass_in_two_steps(slot: Slot, small: Experiment) -> None:
    assert dry_run(slot, SHIPPED, small) is None
    assert slot.result.steps == 2 and slot.result.training_seconds == 300.0


def test_an_error_comes_with_the_lines_that_led_to_it(slot: Slot, small: Experiment) -> None:
    found = dry_run(slot, changed(*WRONG["a wrong shape"][:2]), small)
    assert found is not None
    assert found.index("in train") < found.index("in backward") < found.index("in forward")
    assert "x = x + self.transform(norm(x), mlp[i])[:, :3]" in found
    assert "few rows of 32 tokens" in found


def test_the_clock_shows_the_budget_and_goes_from_its_begin_to_its_end(slot: Slot, small: Experiment) -> None:
    look = "seen.append((task.clock.progress, task.clock.seconds_left))\n"
    text = changed("    for step, (x", f"    seen = []\n    {look}    for step, (x").replace(
        STEP, f"        {look}{STEP}"
    )
    text = text.replace(END, END.replace("return model", f"{look}    raise ValueError(seen)"))
    found = dry_run(slot, text, small)
    assert found is not None and "[(0.0, 300.0), (0.0625, 281.25), (0.5, 150.0), (1.0, 0.0)]" in found


def test_accumulated_steps_are_waited_for(slot: Slot, small: Experiment) -> None:
    assert dry_run(slot, set_constants(SHIPPED, {"BATCH_ROWS": 64, "MICRO_ROWS": 16}), small) is None
    assert slot.result.steps == 8


def test_a_candidate_without_an_optimiser_ends_by_its_batches(slot: Slot, small: Experiment) -> None:
    counting = (
        "import torch\ndef train(task):\n    model = torch.nn.Embedding(task.vocab_size, task.vocab_size)\n"
        "    for x, y in task.batches(2):\n        model.weight.data[x.flatten(), y.flatten()] += 1\n    return model\n"
    )
    assert dry_run(slot, counting, small) is None
    assert 8 <= slot.result.steps <= 32


def test_warm_up_is_short(slot: Slot, small: Experiment) -> None:
    text = changed(
        "    for step, (x", "    n = len(list(task.warmup_batches(rows)))\n    assert n <= 2, n\n    for step, (x"
    )
    assert dry_run(slot, text, small) is None


@pytest.mark.parametrize("how", ["torch.compile(model, fullgraph=True)", "torch.compile(mode='max-autotune')(model)"])
def test_nothing_is_compiled(slot: Slot, small: Experiment, how: str) -> None:
    text = changed(
        "    forward = compiled(model, task, rows, backward)\n", f"    forward = {how}\n    forward._orig_mod\n"
    )
    counted = "    assert not torch._dynamo.utils.counters['stats'], 'it was compiled'\n    return model\n"
    assert dry_run(slot, text.replace("\n    return model\n", f"\n{counted}"), small) is None


def test_no_gpu_is_seen(slot: Slot, small: Experiment) -> None:
    text = changed(
        "    torch.manual_seed(task.seed)\n",
        "    assert not torch.cuda.is_available()\n    torch.manual_seed(task.seed)\n",
    )
    assert dry_run(slot, text, small.replace(device="cuda", amp="bf16")) is None


@pytest.mark.parametrize("name", ["cpu", "t4", "h100"])
def test_the_rows_are_short_and_of_the_experiments_vocabulary(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(EXPERIMENTS / f"{name}.yaml")
    length = write_random_rows(tmp_path / "data", experiment)
    dataset = open_dataset(tmp_path / "data", verify=False)
    assert (dataset.vocab_size, dataset.seq_len) == (experiment.vocab_size, length)
    assert length == 128 and int(dataset.rows("val").max()) < experiment.vocab_size


def test_a_candidate_that_hangs_is_stopped_and_told_where(slot: Slot, small: Experiment) -> None:
    hanging = changed(STEP, f"{STEP}        while True:\n            x = x + 0\n")
    found = dry_run(slot, hanging, small, seconds=8.0)
    line = next(i for i, text in enumerate(hanging.splitlines(), 1) if "while True" in text)
    assert found is not None and "training took longer than 8 s" in found
    assert f"it was at line {line}, in train" in found or f"it was at line {line + 1}, in train" in found


def test_a_runner_runs_for_asyncio_one_after_the_other(small: Experiment) -> None:
    runner = DryRunner(small)
    broken = changed(*WRONG["a typo"][:2])

    async def all_of_them() -> list[str | None]:
        return list(await asyncio.gather(runner.run(SHIPPED), runner.run(broken), runner.run(SHIPPED)))

    try:
        first, second, third = asyncio.run(all_of_them())
    finally:
        runner.close()
    assert first is third is None and second is not None and "smear_gat" in second


def test_closing_a_runner_stops_what_is_under_way_and_leaves_no_process(small: Experiment) -> None:
    before = set(psutil.Process().children(recursive=True))
    runner = DryRunner(small)
    hanging = changed(STEP, f"{STEP}        while True:\n            pass\n")

    async def give_up() -> None:
        running = asyncio.ensure_future(runner.run(hanging))
        await asyncio.sleep(1)
        await asyncio.get_running_loop().run_in_executor(None, runner.close)
        assert await running is None

    asyncio.run(give_up())
    left = set(psutil.Process().children(recursive=True)) - before
    assert not psutil.wait_procs(left, timeout=10)[1]
