"""The wins in progress.png: a mark for each, and words for the largest where nothing else is written."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from autoresearch_ray.observe import facts
from autoresearch_ray.observe.pictures.style import BEST, INK, LABEL_CHARACTERS, drawable
from autoresearch_ray.settings.score_words import ScoreWords

LABELLED_WINS = 12  # the largest; all others are marked without words

_TEXT: dict[str, Any] = {
    "fontsize": 9.5,
    "color": INK,
    "zorder": 7,
    "parse_math": False,
    "bbox": {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
}


def label_wins(figure: Figure, axes: Axes, wins: Sequence[facts.Win], words: ScoreWords) -> None:
    """A mark for each win; words for the largest, placed beyond the line where nothing else is written."""
    if not wins:
        return
    points = [(win.trial_number, words.shown(win.step.val_bpb)) for win in wins]
    numbers, scores = [x for x, _ in points], [y for _, y in points]
    axes.scatter(numbers, scores, s=62, color=BEST, edgecolors="white", linewidths=1.2, zorder=6)
    figure.draw_without_rendering()
    pixels = [(float(x), float(y)) for x, y in axes.transData.transform(points)]
    largest = sorted(wins, key=lambda win: -win.step.gain if math.isfinite(win.step.gain) else 0.0)[:LABELLED_WINS]
    largest.sort(key=lambda win: win.number)
    texts = []
    for win in largest:
        words_of_win = drawable(win.hypothesis, LABEL_CHARACTERS) or f"win {win.number}"
        texts.append((win.number, axes.text(0, 0, words_of_win, transform=None, **_TEXT)))
    left = axes.get_window_extent().x0
    rightward = [n for n, text in texts if pixels[n - 1][0] - left < text.get_window_extent().width + 16]
    # Leader lines cross no words if the words to the left of their marks come first, then the others from the right.
    texts.sort(key=lambda item: (item[0] in rightward, -item[0] if item[0] in rightward else item[0]))
    taken: list[Bbox] = []
    for number, text in texts:
        side = -1 if number in rightward else 1
        _place(text, pixels[number - 1], side, 1 if words.rises else -1, pixels, taken)


def _place(
    text: Text,
    mark: tuple[float, float],
    side: int,
    way: int,
    pixels: list[tuple[float, float]],
    taken: list[Bbox],
) -> None:
    """Move `text` away from `mark` until it covers neither another text nor the best's line.

    It goes to the left (side 1) or right (-1), downward (way -1) or upward (1), where the best has no line.

    Pixels throughout; `pixels` are the marks of all wins. Without room the text goes.
    """
    assert text.axes is not None
    frame, (x, y) = text.axes.get_window_extent(), mark
    text.set_horizontalalignment("right" if side == 1 else "left")
    text.set_verticalalignment("top" if way == -1 else "bottom")
    edge = frame.y0 if way == -1 else frame.y1
    for far in range(9, 400, 5):
        text.set_position((x - 8 * side, y + way * far))
        box = text.get_window_extent()
        near_end, far_end = (box.y1, box.y0) if way == -1 else (box.y0, box.y1)
        line = max((way * height for across, height in pixels if across <= box.x1 + 4), default=-math.inf)
        if way * (far_end - edge) > -2:
            break
        if way * near_end > line + 5 and not any(box.overlaps(other) for other in taken):
            taken.append(Bbox.from_extents(box.x0 - 3, box.y0 - 1, box.x1 + 3, box.y1 + 1))
            if far > 20:
                end = (x - 6 * side, (box.y0 + box.y1) / 2)
                leader = Line2D([x, end[0]], [y, end[1]], transform=None, color="#8c959f", linewidth=0.7, zorder=5)
                text.axes.add_artist(leader)
            return
    text.remove()
