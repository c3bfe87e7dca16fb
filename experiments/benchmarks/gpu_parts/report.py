"""The GPU benchmark's findings as one page."""

from html import escape
from typing import Any

from autoresearch_ray.observe.report.page import page as framed
from gpu_parts.notes import FAULTS, show


def page(report: dict[str, Any]) -> str:
    """A self-contained page: the machine, then each part with how it ended, its faults first, its tables."""
    pretend = " (pretended on the CPU: no figure means anything)" if report["pretend"] else ""
    machine = " · ".join(f"{name} {value}" for name, value in report["machine"].items())
    parts = [f"<h1>On a GPU{pretend}</h1>", f'<p class="note">{escape(machine)} · {report["seconds"]:.0f} s</p>']
    for name, part in report["parts"].items():
        good = part["status"] == "done" and FAULTS not in part["tables"]
        parts.append(f'<h2>{name} <span class="{"good" if good else "bad"}">{escape(part["status"])}</span></h2>')
        parts.append(f'<p class="note">{part["seconds"]:.0f} s</p>')
        for fault in part["tables"].get(FAULTS, []):
            parts.append(f'<p class="bad">{escape(fault["what"])}: {escape(fault["error"])}</p>')
            parts.append(
                f"<details><summary>traceback</summary><pre class=plain>{escape(fault['trace'])}</pre></details>"
            )
        parts += [_table(title, rows) for title, rows in part["tables"].items() if title != FAULTS]
    return framed("On a GPU", "\n".join(parts))


def _table(title: str, rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numeric = [name for name in columns if all(isinstance(row.get(name, 0), (int, float)) for row in rows)]
    head = "".join(f'<th class="{"n" if name in numeric else ""}">{escape(name)}</th>' for name in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(name, "")) for name in columns) + "</tr>" for row in rows)
    return f"<h3>{escape(title)}</h3><div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _cell(value: object) -> str:
    words = escape(show(value))
    kind = "n" if isinstance(value, (int, float)) else "w" if len(words) > 40 else ""
    return f'<td class="{kind}">{words}</td>'
