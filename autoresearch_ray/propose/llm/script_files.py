"""The files of a script's candidate as an answer edits them: which file is meant, and whole files put in their places.

script = ScriptFiles(frontier, scoring.sign)
script.find("b/src/model.py")                    # "src/model.py"
script.put({"src/model.py": text})               # the whole candidate's text
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from autoresearch_ray.common.paths import CANDIDATE_FILE
from autoresearch_ray.records import source_files
from autoresearch_ray.records.source_files import Files

LEAST_PART = 1 / 3  # a nameless code block with this share of the only file's lines is that file


@dataclass(frozen=True, slots=True)
class ScriptFiles:
    """The frontier of a script's run."""

    text: str
    sign: int = 1  # factor to lower-is-better: -1 where higher is better

    @property
    def files(self) -> Files:
        """Paths and texts, in their order."""
        if source_files.has_headings(self.text):
            return source_files.split(self.text)
        return ((CANDIDATE_FILE, self.text),)

    @property
    def paths(self) -> tuple[str, ...]:
        """The files' paths, in order."""
        return tuple(path for path, _ in self.files)

    def find(self, said: str) -> str | None:
        """The file that a name means: its path, the end of its path, or a longer path; None for none or several."""
        return find_path(self.paths, said)

    def put(self, texts: Mapping[str, str]) -> str:
        """The candidate's text with these files in the place of those that were there."""
        whole = {path: texts.get(path, text) for path, text in self.files}
        whole = {path: text if text.endswith("\n") or not text else text + "\n" for path, text in whole.items()}
        if not source_files.has_headings(self.text):
            return whole[CANDIDATE_FILE]
        return source_files.join(tuple(whole.items()))

    def is_whole(self, listing: str) -> bool:
        """Whether a code block without a name may be the only file, and no snippet of it."""
        return len(self.files) == 1 and len(listing.splitlines()) >= LEAST_PART * len(self.files[0][1].splitlines())


def find_path(paths: tuple[str, ...], said: str) -> str | None:
    """The one of these paths that a name means."""
    if said in paths:
        return said
    parts = PurePosixPath(said).parts
    found = []
    for path in paths:
        own = PurePosixPath(path).parts
        common = min(len(own), len(parts))
        if common > 0 and own[-common:] == parts[-common:]:
            found.append(path)
    return found[0] if len(found) == 1 else None
