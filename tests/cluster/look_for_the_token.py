"""Run on a host: a trial whose candidate looks for the cluster's token; prints what it saw.

python look_for_the_token.py EXPERIMENT
"""

import sys
import tempfile
from pathlib import Path

from autoresearch_ray.benchmark.data.dataset import prepare
from autoresearch_ray.benchmark.trial.job import job_for
from autoresearch_ray.benchmark.trial.slot import Slot
from autoresearch_ray.settings.experiment_file import load_experiment

CANDIDATE = """
import glob, os
print(dict(os.environ))
files = ["/root/.ray/auth_token", os.path.expanduser("~/.ray/auth_token"), *glob.glob("/proc/*/environ")]
for top in ("/root", "/home", "/tmp", "/run", "/var", "/dev/shm"):
    found = [os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names]
    files += [path for path in found if path.endswith("token")]
for path in files:
    try:
        print(path, open(path, "rb").read(5000))
    except OSError as error:
        print(error)
print("looked everywhere")
"""

experiment = load_experiment(Path(sys.argv[1]))
job = job_for(experiment, CANDIDATE, str(prepare(experiment).folder), 1, device="cpu", memory_mb=1500)
with Slot(1) as slot, tempfile.TemporaryDirectory() as folder:
    list(slot.run(job, Path(folder)))
    print(slot.result.isolation, Path(folder, "output.log").read_text())
