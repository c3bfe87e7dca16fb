"""Histories that are costly to make."""

import pytest
from histories import long

from autoresearch_ray.records import History

HOSTILE = {
    "html": '</td></script><script>alert(1)</script><img src=x onerror="alert(1)">&amp;',
    "control": "a\x00b\x1b[2J\x1b[31mred\x07\x08\x7f\x9b31m",
    "lines": "tab\tone\ntwo\r\nthree\x0bfour\x0cfive\u2028six\x85seven",
    "unicode": "\u202egnirts\u202c \udc80 lone, 漢字 \U0001f9ea e\u0301 \ufeff",
    "markup": "[red]not red[/red] [/] $\\frac{$ %s {0} \\",
    "long": "x " * 5_000,
    "one word": "y" * 10_000,
    "empty": "",
}


@pytest.fixture(scope="session")
def hundred_thousand() -> History:
    return long(100_000)


@pytest.fixture(params=list(HOSTILE))
def hostile(request: pytest.FixtureRequest) -> str:
    return HOSTILE[request.param]
