"""What every report looks like: a template that escapes all that it is given, its style, its few lines of JavaScript.

Nothing is requested from anywhere; without JavaScript the table is merely neither sorted nor filtered.
"""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render(template: str, **values: object) -> str:
    """A template of `templates/` with these values; every text that is no Markup is escaped."""
    return _environment().get_template(template).render(values)


def page(title: str, body: str) -> str:
    """A whole document around a body that is HTML already."""
    return render("page.html", title=title, body=Markup(body))


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
