"""What the processor is called. No torch: a run on CPUs starts without it."""

import platform
from pathlib import Path


def cpu_name() -> str:
    """The processor's product name, for example `AMD EPYC`; its architecture where it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
