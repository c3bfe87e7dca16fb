"""A run's report within a cell of a notebook.

It needs no port that a browser can reach, so it is shown by Colab and Kaggle too. It is saved with the notebook, and is
not alive: for a page that follows the run there is `python -m autoresearch_ray.watch`.
"""

import os
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from autoresearch_ray.common.paths import REPORT_FILE
from autoresearch_ray.driver.files import rebuild


@dataclass(frozen=True, slots=True)
class PageFrame:
    """A page that a notebook shows in a frame of its own, which reaches nothing of the notebook."""

    document: str = field(repr=False)
    height: int  # pixels

    def _repr_html_(self) -> str:
        style = f"width: 100%; height: {self.height}px; border: 1px solid #d0d7de"
        return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{escape(self.document)}"></iframe>'


def show_page(run_dir: str | os.PathLike[str], height: int = 700) -> PageFrame:
    """The run's report as of now; its files are made again. SettingsError, StoreError where there is none to show."""
    folder = Path(run_dir)
    rebuild(folder)
    return PageFrame((folder / REPORT_FILE).read_text(), height)
