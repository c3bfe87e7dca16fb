"""Everything about this product that no CPU can show, in one go: for the few minutes in which a GPU is at hand.

    python experiments/benchmarks/gpu.py --out FOLDER [--seconds 480] [--only PART ...]    on a machine with a GPU
    python experiments/benchmarks/gpu.py --out FOLDER --pretend                            every line on the CPU, tiny

Parts, most important first: product, sharing, trainer, walls, noise (`gpu_parts/`). Each runs in a process of its own
with a time limit of its own; what it had found before it failed or ran out of time is kept, and the next one starts.
It writes FOLDER/gpu.json and FOLDER/gpu.html after every part. Exit status: 0 if every part ran to its end without a
fault, else 1; 2 for a wrong request. Without internet it needs the packages and a checkout on PYTHONPATH, no more.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
from gpu_parts.notes import FAULTS, Bench, read_rows
from gpu_parts.report import page

SHARES = {"product": 0.26, "sharing": 0.24, "trainer": 0.26, "walls": 0.14, "noise": 0.10}  # of the time, in this order
SECONDS = 480.0
END_SECONDS = 15.0  # that a part whose time is over gets to stop what it started
PRETENDED_SECONDS = 1200.0  # slow machines are normal


def main() -> int:
    """Run the parts and write what they found."""
    parser = argparse.ArgumentParser(description="Measure and check everything that needs a GPU.")
    parser.add_argument("--out", type=Path, required=True, help="folder for gpu.json and gpu.html")
    parser.add_argument("--seconds", type=float, help=f"for all parts together (default {SECONDS:g})")
    parser.add_argument("--only", nargs="+", choices=list(SHARES), default=list(SHARES), metavar="PART")
    parser.add_argument(
        "--pretend", action="store_true", help="on the CPU, at tiny sizes: runs all code, measures nothing"
    )
    parser.add_argument("--part", choices=list(SHARES), help=argparse.SUPPRESS)  # this process is that part
    options = parser.parse_args()
    if options.part:
        return run_part(options.part, options.out, options.seconds, options.pretend)
    if not options.pretend and (missing := missing_gpu()):
        sys.stderr.write(f"error: {missing}; expected one, or use --pretend to try the script on the CPU\n")
        return 2
    seconds = options.seconds or (PRETENDED_SECONDS if options.pretend else SECONDS)
    return run_parts(options.out, [part for part in SHARES if part in options.only], seconds, options.pretend)


def run_parts(out: Path, parts: list[str], seconds: float, pretend: bool) -> int:
    """Each part with its share of what time is left: what one does not use, the others have."""
    out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    report: dict[str, Any] = {"pretend": pretend, "machine": machine(), "parts": {}}
    with tempfile.TemporaryDirectory(prefix="autoresearch-gpu-") as scratch:
        os.environ["AUTORESEARCH_HOME"] = str(Path(scratch, "home"))
        for number, part in enumerate(parts):
            left = seconds - (time.monotonic() - begin) - END_SECONDS
            limit = left * SHARES[part] / sum(SHARES[other] for other in parts[number:])
            report["parts"][part] = followed(part, Path(scratch, part), limit, pretend)
            report["seconds"] = time.monotonic() - begin
            (out / "gpu.json").write_text(json.dumps(report, indent=1))
            (out / "gpu.html").write_text(page(report))
    faults = {part: len(one["tables"].get(FAULTS, [])) for part, one in report["parts"].items()}
    ends = [f"{part}: {one['status']}, {faults[part]} faults" for part, one in report["parts"].items()]
    print(f"\n{report['seconds']:.0f} s; {'; '.join(ends)}; see {out}/gpu.html and gpu.json")
    return 0 if all(one["status"] == "done" for one in report["parts"].values()) else 1


def followed(part: str, folder: Path, limit: float, pretend: bool) -> dict[str, Any]:
    """Run one part in a process of its own; what it found, and how it ended."""
    folder.mkdir()
    print(f"{part}: {limit:.0f} s at most", flush=True)
    begin = time.monotonic()
    command = [sys.executable, __file__, "--part", part, "--out", str(folder), "--seconds", str(limit)]
    process = subprocess.Popen(command + ["--pretend"] * pretend, start_new_session=True)
    try:
        status = "done" if process.wait(limit) == 0 else f"failed with exit status {process.returncode}"
    except subprocess.TimeoutExpired:
        status = f"stopped after {limit:.0f} s"
    finally:
        end(process)
    return {"status": status, "seconds": time.monotonic() - begin, "tables": read_rows(folder)}


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop the part and everything that it started: asked first, then killed."""
    try:
        below = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        below = []
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in below:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue


def run_part(part: str, folder: Path, seconds: float, pretend: bool) -> int:
    """In the part's own process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` and `with` clean up
    bench = Bench(folder, time.monotonic() + seconds, pretend)
    before = len(read_rows(folder).get(FAULTS, []))
    with bench.attempt(part):
        import_module(f"gpu_parts.{part}").measure(bench)
    return 0 if len(read_rows(folder).get(FAULTS, [])) == before else 1


def missing_gpu() -> str:
    """Why there is no GPU to work with; empty if there is one."""
    import torch

    return "" if torch.cuda.is_available() else f"torch {torch.__version__} sees no CUDA device"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    import torch

    known = {
        "torch": torch.__version__, "python": platform.python_version(), "kernel": platform.release(),
        "cores": str(os.cpu_count()), "user": "root" if os.geteuid() == 0 else "an ordinary user",
    }  # fmt: skip
    if torch.cuda.is_available():
        major, minor = torch.cuda.get_device_capability()
        known |= {
            "gpu": torch.cuda.get_device_name(),
            "capability": f"{major}.{minor}",
            "cuda": str(torch.version.cuda),
        }
        known["gpu memory"] = f"{torch.cuda.get_device_properties(0).total_memory / 2**30:.1f} GiB"
    if smi := shutil.which("nvidia-smi"):
        asked = [smi, "--query-gpu=driver_version,compute_mode,mig.mode.current", "--format=csv,noheader"]
        known["driver, mode, MIG"] = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return known


if __name__ == "__main__":
    sys.exit(main())
