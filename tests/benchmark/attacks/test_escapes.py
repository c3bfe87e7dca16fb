"""Every attempt to reach what is outside gets through without its layer, and not with it; and harms nothing."""

import platform
from textwrap import indent

import pytest
from sections import sections
from world import FULL, Attack, World

ESCAPES = sections("escapes.txt")
LAYERS = {name: escape.labels.split(", ") for name, escape in ESCAPES.items()}
ALONE = [(name, layer) for name, layers in LAYERS.items() for layer in layers]
THROUGH = "IT GOT THROUGH"
SEEN = "MB of files, allowed are"  # by who watches from outside, where a slow disk takes long to fill
MAY_BE_REFUSED = {  # on some machines, by the kernel's settings or by whom the files belong to
    "uses io_uring", "handles page faults itself", "makes a user namespace", "makes a namespace by clone",
    "mounts in a namespace of its own", "uses the kernel's cryptography", "keeps a key in the kernel",
    "plants a module for the next process", "edits the harness",
}  # fmt: skip
LEAVE = "    sys.stdout.flush()\n    os._exit(0)\n"
HONEST = """
    model = torch.nn.Embedding(task.vocab_size, task.vocab_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=10.0)
    for x, y in task.batches(4):
        loss = torch.nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model
"""

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the attempts use x86_64's system calls")


def attempt(world: World, name: str, then: str) -> str:
    """A candidate that tries while it trains, and then goes on so."""
    escape = ESCAPES[name]
    return f"""W = {world.for_candidates()!r}
{escape.shared}
def attempt():
{indent(escape.code, "    ")}
def train(task):
    import torch
    next(task.batches(4))
    W["scratch"] = os.getcwd()
    try:
        print("{THROUGH}" if attempt() else "stopped: nothing there")
    except BaseException as error:
        print("stopped:", repr(error))
{then}"""


def tried(world: World, attack: Attack, name: str, layers: str) -> str:
    """The output of a trial and what became of it; of two where the first leaves a thing for the second."""
    source = attempt(world, name, LEAVE)
    ended = [attack(source, layers) for _ in range(times(name))]
    return "".join(f"{output}{result.error}\n" for result, output in ended)


def times(name: str) -> int:
    return 2 if "for the next trial" in name else 1


@pytest.mark.parametrize("name", ESCAPES)
def test_without_its_layer_an_attempt_gets_through(world: World, attack: Attack, name: str) -> None:
    off = set(LAYERS[name])
    off |= {"fs"} if "pid" in off else set()  # its user may not touch others' processes either
    others = "+".join(layer for layer in FULL.split("+") if layer not in off)
    output = tried(world, attack, name, others)
    if THROUGH not in output and name in MAY_BE_REFUSED:
        pytest.skip(f"this machine refuses by itself: {output}")
    assert THROUGH in output or SEEN in output, output


@pytest.mark.parametrize(("name", "layer"), ALONE)
def test_its_layer_alone_stops_an_attempt(world: World, attack: Attack, name: str, layer: str) -> None:
    layers = "pid" if layer == "pid" else f"pid+{layer}"
    output = tried(world, attack, name, layers)
    assert THROUGH not in output and output.count("stopped: ") == times(name), output


@pytest.mark.parametrize("name", ESCAPES)
def test_behind_all_walls_an_attempt_reaches_nothing(world: World, attack: Attack, name: str) -> None:
    before = world.fingerprint()
    result, output = attack(attempt(world, name, HONEST), budget_seconds=0.1)
    assert result.status == "ok" and result.val_bpb > 0.9, result.error
    assert THROUGH not in output and "stopped: " in output, output
    assert world.fingerprint() == before and world.process.poll() is None
