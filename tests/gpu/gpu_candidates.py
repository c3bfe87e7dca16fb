"""Candidates for a GPU: an honest one, and cheats that a GPU makes possible or different."""

START = """
import os, subprocess, sys, time
import torch
from torch import nn
import torch.nn.functional as F


class Table(nn.Module):
    def __init__(self, task):
        super().__init__()
        torch.manual_seed(task.seed)
        self.vocab = task.vocab_size
        self.table = nn.Embedding(task.vocab_size, task.vocab_size)

    def forward(self, x):
        return self.table(x)


def fit(model, task, forward=None):
    model.to(task.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    scaler = torch.amp.GradScaler(task.device.type, enabled=task.amp_dtype == torch.float16)
    for x, y in task.batches(16):
        with torch.autocast(task.device.type, dtype=task.amp_dtype, enabled=task.amp_dtype is not None):
            logits = (forward or model.table)(x)
        optimizer.zero_grad()
        scaler.scale(F.cross_entropy(logits.flatten(0, 1).float(), y.flatten())).backward()
        scaler.step(optimizer)
        scaler.update()
    return model
"""
HONEST = (
    START
    + """

def train(task):
    return fit(Table(task), task)
"""
)
COMPILED = (
    START
    + """

def train(task):
    model = Table(task).to(task.device)
    fast = torch.compile(model, dynamic=False) if task.device.type == "cuda" else model
    begin = time.monotonic()
    for x, _ in task.warmup_batches(16):
        fast(x).sum().backward()
    print("warm-up took", time.monotonic() - begin)
    return fit(model, task, fast)
"""
)
DEVICES = (
    START
    + """
print("devices:", *sorted(os.path.join(folder, name)[5:] for folder, _, names in os.walk("/dev") for name in names))


def train(task):
    return fit(Table(task), task)
"""
)
PEEK = (
    START
    + """

class Peek(Table):
    def forward(self, x):
        return self.table(x) + 9 * F.one_hot(x.roll(-1, 1), self.vocab)


def train(task):
    return fit(Peek(task), task)
"""
)
FORGER = (
    START
    + """

class Forger(Table):
    def forward(self, x):
        import autoresearch_ray.benchmark.score.metric as metric
        metric.log_probabilities = lambda logits, targets: torch.full(targets.shape, -0.01, dtype=torch.float64)
        return self.table(x)


def train(task):
    return fit(Forger(task), task)
"""
)
HOG = (
    START
    + """

def train(task):
    next(task.batches(4))
    hoard = []
    while True:
        hoard.append(torch.ones(1 << 26, device=task.device))
        print(len(hoard), "times 256 MB", flush=True)
"""
)
SECOND_PROCESS = (
    '''
CHILD = """
import signal, sys, time, torch
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
hoard = torch.ones(1 << 26, device=sys.argv[1])
print("a second process holds 256 MB", flush=True)
while True:
    hoard.mul_(1.0)
    time.sleep(0.01)
"""
'''
    + START
)
SURVIVOR = (
    SECOND_PROCESS
    + """

def train(task):
    child = subprocess.Popen([sys.executable, "-c", CHILD, task.device.type], stdout=subprocess.PIPE,
                             start_new_session=True)
    print(child.stdout.readline().decode(), flush=True)
    return fit(Table(task), task)
"""
)
WRITER = (
    START
    + """

def train(task):
    left = [torch.full((1 << 24,), 4711.25, device=task.device) for _ in range(8)]
    model = fit(Table(task), task)
    print("wrote", len(left), "times 64 MB")
    return model
"""
)
READER = (
    START
    + """

def train(task):
    found = sum(int((torch.empty(1 << 24, device=task.device) == 4711.25).sum()) for _ in range(16))
    print("found", found)
    return fit(Table(task), task)
"""
)
