"""Where a live screen can be drawn."""

from pathlib import Path

import pytest
from rich.console import Console

from autoresearch_ray.driver.console import can_draw


def test_a_notebook_gets_a_screen_if_it_has_the_widgets_for_it_and_else_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Console(force_jupyter=True)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert not can_draw(notebook), "rich would warn at every frame"
    (tmp_path / "ipywidgets").mkdir()
    (tmp_path / "ipywidgets" / "__init__.py").touch()
    assert can_draw(notebook)


def test_a_terminal_gets_a_screen_and_a_file_lines(tmp_path: Path) -> None:
    assert can_draw(Console(force_terminal=True))
    with (tmp_path / "log").open("w") as log:
        assert not can_draw(Console(file=log))
