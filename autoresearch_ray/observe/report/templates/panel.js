// The panel of one trial, and the keys: / filters, j and k move, Enter opens, Esc closes.

const CURVE = { width: 560, height: 200, left: 44, right: 10, top: 8, bottom: 22 };

function trialRows() {
  return [...document.querySelectorAll("tr[data-trial]")].filter((row) => !row.hidden);
}

function activateRow(row) {
  document.querySelector("tr.active")?.classList.remove("active");
  row?.classList.add("active");
  row?.scrollIntoView({ block: "nearest" });
}

function moveActive(by) {
  const rows = trialRows(), now = rows.findIndex((row) => row.classList.contains("active"));
  if (rows.length) activateRow(rows[now < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, now + by))]);
  if (document.getElementById("panel").open) openPanel(document.querySelector("tr.active").dataset.trial);
}

async function openPanel(name) {
  const dialog = document.getElementById("panel");
  const content = await findPanel(name);
  dialog.dataset.trial = name;
  dialog.replaceChildren(closeButton(dialog), ...(content.trial ? panelParts(content) : [make("p", {}, content.words)]));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

// What is embedded, or else what the server has.
async function findPanel(name) {
  const own = embedded.panels?.[name];
  if (own) return own;
  if (!isLive) return { words: `${name}: this file has the panels of wins and of the latest trials; ` +
    "python -m autoresearch_ray.watch RUN_DIR shows every one" };
  try {
    const answer = await fetch(`/trial/${encodeURIComponent(name)}`);
    return answer.ok ? await answer.json() : { words: await answer.text() };
  } catch {
    return { words: "the server has ended" };
  }
}

function closeButton(dialog) {
  const button = make("button", { class: "close", "aria-label": "close" }, "×");
  button.addEventListener("click", () => dialog.close());
  return button;
}

function panelParts(panel) {
  const parts = [make("h2", {}, panel.trial), make("p", {}, panel.hypothesis || "no hypothesis given")];
  parts.push(factList(panel.facts));
  for (const decision of panel.decisions) {
    parts.push(make("h3", {}, decision[0][0] === "step" ? "Step of the lineage" : "Decision"), factList(decision));
  }
  if (panel.curve.length > 1) parts.push(make("h3", {}, "Training loss"), ...curvePicture(panel));
  if (panel.error) parts.push(make("h3", {}, "How it ended"), make("pre", { class: "plain" }, panel.error));
  parts.push(make("h3", {}, "Against its parent"), diffView(panel.diff));
  if (panel.files?.length) parts.push(make("h3", {}, "Files"), fileLinks(panel.files));
  return parts;
}

function factList(pairs) {
  return make("dl", {}, ...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function diffView(diff) {
  if (diff === null) return make("p", { class: "note" }, "The texts are not in the store.");
  if (!diff.length) return make("p", { class: "note" }, "No line differs.");
  return make("pre", { class: "diff" }, ...diff.map(([mark, line]) => make("i", { class: mark }, line)));
}

function fileLinks(paths) {
  return make("ul", {}, ...paths.map((path) => make("li", {},
    make("a", { href: `/files/${path.split("/").map(encodeURIComponent).join("/")}`, target: "_blank" }, path))));
}

// An SVG element; the namespace is that of one that the page was born with.
function draw(tag, attributes, ...children) {
  const node = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function curvePicture({ curve, parent_curve: before, parent, is_same_seed: same }) {
  const { width, height, left, right, top, bottom } = CURVE, points = [...curve, ...before];
  const longest = Math.max(...points.map(([seconds]) => seconds));
  const late = points.filter(([seconds]) => seconds >= 0.1 * longest).map(([, bpb]) => bpb);
  const low = Math.min(...late), span = Math.max(...late) - low || 1;
  const x = (seconds) => left + ((width - left - right) * seconds) / longest;
  const y = (bpb) => Math.max(0, top + ((height - top - bottom) * (low + span - bpb)) / span);
  const line = (run, name) => draw("polyline", { class: name,
    points: run.map(([seconds, bpb]) => `${x(seconds).toFixed(1)},${y(bpb).toFixed(1)}`).join(" ") });
  const marks = [0, 0.5, 1].flatMap((share) => [
    draw("line", { class: "grid", x1: left, x2: width - right, y1: y(low + share * span), y2: y(low + share * span) }),
    draw("text", { x: left - 6, y: y(low + share * span) + 4, "text-anchor": "end" }, (low + share * span).toFixed(2)),
    draw("text", { x: x(share * longest), y: height - 4, "text-anchor": share === 1 ? "end" : share ? "middle" : "start" },
      `${(share * longest).toPrecision(3)} s`)]);
  const words = before.length ? `Grey is a run of its parent, ${parent}, on ${same ? "the same" : "another"} seed.` : "";
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "training loss over time" },
    ...marks, ...(before.length > 1 ? [line(before, "baseline")] : []), line(curve, "best"));
  return [picture, make("p", { class: "note" }, words)];
}

function listenToReader() {
  document.addEventListener("click", (event) => {
    const target = event.target.closest("[data-trial]");
    if (event.target.id === "panel") event.target.close();  // beside it
    else if (target && target.id !== "panel" && !getSelection().toString()) {
      if (target.tagName === "TR") activateRow(target);
      openPanel(target.dataset.trial);
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches("input, select, textarea")) {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    const search = document.querySelector("[data-section=trials] input[type=search]");
    if (event.key === "/" && search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "j") moveActive(1);
    else if (event.key === "k") moveActive(-1);
    else if (event.key === "Enter" && event.target === document.body) {
      event.preventDefault();  // or the same key presses the button that the panel opens with
      const row = document.querySelector("tr.active");
      if (row && !row.hidden) openPanel(row.dataset.trial);
    }
  });
}
