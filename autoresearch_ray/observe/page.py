"""What every report looks like: the frame of the page, its style, and its few lines of JavaScript.

Nothing is requested from anywhere; without JavaScript the table is merely neither sorted nor filtered.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --muted: #656d76; --line: #d0d7de; --soft: #f6f8fa; --page: #ffffff;
  --good: #1a7f37; --bad: #cf222e; --plus: #dafbe1; --minus: #ffebe9; --hunk: #0550ae; --accent: #d4762c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --muted: #8d96a0; --line: #30363d; --soft: #161b22;
  --page: #0d1117; --good: #3fb950; --bad: #f85149; --plus: #12361f; --minus: #3f1519; --hunk: #79c0ff;
  --accent: #f0883e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 32px 24px 64px; max-width: 1200px; color: var(--ink); background: var(--page);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 2px; font-size: 26px; }
h2 { margin: 44px 0 12px; font-size: 19px; }
p.note, .note { color: var(--muted); margin: 0 0 12px; }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0; }
.card { flex: 1 1 150px; border: 1px solid var(--line); border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.3; }
.card span { color: var(--muted); font-size: 13px; }
.card.good b, .good { color: var(--good); }
.bad { color: var(--bad); }
img.picture { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; background: #fff; }
section.win { border: 1px solid var(--line); border-radius: 8px; margin: 0 0 14px; overflow: hidden; }
section.win > header { padding: 12px 16px; background: var(--soft); }
section.win header .note { margin: 0; }
section.win h3 { margin: 0 0 2px; font-size: 16px; }
section.win > p { margin: 0; padding: 12px 16px; color: var(--muted); }
code, pre, td.id { font-size: 13px;
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
pre { margin: 0; padding: 10px 0; overflow: auto; max-height: 520px; line-height: 1.45; }
pre.plain { padding: 12px 16px; border: 1px solid var(--line); border-radius: 8px; background: var(--soft); }
pre.diff i { display: block; font-style: normal; padding: 0 16px; white-space: pre;
  width: max-content; min-width: 100%; }
pre.diff i.p { background: var(--plus); }
pre.diff i.m { background: var(--minus); }
pre.diff i.h { color: var(--hunk); padding-top: 6px; }
.scroll { overflow: auto; max-height: 720px; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 8px; border-bottom: 1px solid var(--line); vertical-align: top;
  white-space: nowrap; overflow-wrap: normal; }
tr:last-child td { border-bottom: 0; }
th { position: sticky; top: 0; background: var(--soft); font-weight: 600; }
th[data-sorts] { cursor: pointer; }
th[aria-sort=ascending]::after { content: " ↑"; }
th[aria-sort=descending]::after { content: " ↓"; }
td.n, th.n { text-align: right; }
td.w { min-width: 240px; white-space: normal; overflow-wrap: anywhere; }
input[type=search] { width: min(420px, 100%); margin: 0 0 10px; padding: 6px 10px; font: inherit; color: inherit;
  background: var(--page); border: 1px solid var(--line); border-radius: 6px; }
summary { cursor: pointer; }
details > pre { margin-top: 10px; }
svg { display: block; width: 100%; max-width: 860px; height: auto; }
svg text { fill: var(--muted); font-size: 12px; }
svg .grid { stroke: var(--line); }
svg .baseline { stroke: var(--muted); }
svg .best { stroke: var(--good); }
svg polyline { fill: none; stroke-width: 1.6; opacity: 0.85; }
"""

SCRIPT = """
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.dataset.sorts = "";
    head.onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = (row) => row.cells[column].textContent.replaceAll(",", "");
      const numeric = head.classList.contains("n"), sign = up ? 1 : -1;
      const order = (a, b) => {
        if (!numeric) return sign * value(a).localeCompare(value(b));
        const x = parseFloat(value(a)), y = parseFloat(value(b));
        return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y);
      };
      body.append(...[...body.rows].sort(order));
    };
  });
  const search = document.createElement("input");
  search.type = "search";
  search.placeholder = "filter by words; click a column to sort";
  search.setAttribute("aria-label", "filter the trials");
  search.oninput = () => {
    const words = search.value.toLowerCase().split(/\\s+/);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  };
  table.parentElement.before(search);
}
"""


def page(title: str, body: str) -> str:
    """The whole document; `title` and `body` are HTML already."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )
