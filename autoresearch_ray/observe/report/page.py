"""What every report looks like: a template that escapes all that it is given, its style, its scripts.

Nothing is requested from elsewhere; without JavaScript the table is merely neither sorted nor filtered. A page runs its
own scripts alone, which its policy names by their hash: markup that got in by an error could not run.
"""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = (
    "table.js",
    "live.js",
    "panel.js",
    "chart.js",
    "chart_keys.js",
    "start.js",
)  # one program, the last begins it


def render(template: str, **values: object) -> str:
    """A template of `templates/` with these values; every text that is no Markup is escaped."""
    return _environment().get_template(template).render(values)


def page(title: str, body: str, data: object = None, is_live: bool = False) -> str:
    """A whole document around a body that is HTML already.

    `data` is for its scripts; a live page may ask the server that it came from for more.
    """
    return render(
        "page.html",
        title=title,
        body=Markup(body),
        data=Markup(encode_data(data)) if data is not None else "",
        script=Markup(_script()),
        policy=policy(is_live),
        is_live=is_live,
    )


def policy(is_live: bool) -> str:
    """What the page may load and run, as a Content-Security-Policy."""
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    parts = ["default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'"]
    return "; ".join([*parts, "base-uri 'none'", "form-action 'none'", *(["connect-src 'self'"] if is_live else [])])


def encode_data(data: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _script() -> str:
    return "\n" + "\n".join((TEMPLATES / name).read_text() for name in SCRIPTS)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
