"""What all pictures share: size, colours, and text that their font can draw."""

from functools import lru_cache

from matplotlib.font_manager import findfont, get_font

from autoresearch_ray.common.text import one_line

WIDTH_INCHES, HEIGHT_INCHES, DPI = 12.0, 6.0, 100
LABEL_CHARACTERS = 46
INK, MUTED, DOT, BEST, FRONTIER, FAILED = "#24292f", "#6e7781", "#8fa3bf", "#1a7f37", "#d4762c", "#cf222e"


def drawable(text: str, limit: int) -> str:
    """One line of characters that the font has; others become question marks."""
    characters = _font_characters()
    return "".join(character if ord(character) in characters else "?" for character in one_line(text, limit))


@lru_cache
def _font_characters() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
