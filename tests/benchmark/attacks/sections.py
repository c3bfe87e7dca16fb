"""The tables of attacks: texts in which `## name: labels` begins a candidate; what stands before all is shared."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One candidate, or a part of one."""

    labels: str  # what stands behind the name
    shared: str
    code: str

    @property
    def source(self) -> str:
        """As a whole candidate: where the code has no `train`, its last class is trained by the shared `fit`."""
        if "def train(" in self.code:
            return f"{self.shared}\n{self.code}"
        name = (re.findall(r"^class (\w+)\(", self.code, re.MULTILINE) or ["Table"])[-1]
        return f"{self.shared}\n{self.code}\ndef train(task):\n    return fit({name}(task), task)\n"


def sections(name: str) -> dict[str, Section]:
    """The candidates of a table by name."""
    start, *parts = re.split(r"^## ", (HERE / name).read_text(), flags=re.MULTILINE)
    shared = start.partition("stands:\n")[2]
    found = {}
    for part in parts:
        title, _, code = part.partition("\n")
        title, _, labels = title.partition(": ")
        found[title] = Section(labels, shared, code.rstrip() + "\n")
    assert len(found) == len(parts), "a name stands twice"
    return found
