// Progress over trials or time, and the slots over time, as SVG. What a point is, its trial's panel says.

const EDGE = { left: 52, right: 14, top: 10, bottom: 24 }, CHART_HEIGHT = 320, LANE = 16, NEAR = 16;
const DAY = 86400, TIME_STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200];
let chart = embedded.chart;

function drawCharts() {
  if (!chart?.trials.length) return;
  drawProgress(document.querySelector("#progress svg"));
  drawSlots(document.querySelector("#slots svg"));
}

function drawProgress(picture) {
  document.getElementById("progress").hidden = false;
  const width = picture.parentElement.clientWidth, isTime = document.getElementById("by-time").checked;
  const place = (trial) => (isTime ? trial.elapsed : trial.number);
  const step = ([number, elapsed, score]) => [isTime ? elapsed : number, score];
  const end = Math.max(...chart.trials.map(place), 1), [low, high] = scoreScale();
  const x = (value) => EDGE.left + ((width - EDGE.left - EDGE.right) * value) / end;
  const inside = (score) => (chart.rises ? Math.max(score, low) : Math.min(score, high));
  const y = (score) => EDGE.top + ((CHART_HEIGHT - EDGE.top - EDGE.bottom) * (high - inside(score))) / (high - low);
  const failed = chart.rises ? EDGE.top + 4 : CHART_HEIGHT - EDGE.bottom - 4;  // beyond the best
  const points = chart.trials.filter(isPoint).map((trial) => ({ trial,
    x: x(place(trial)), y: trial.score === null ? failed : y(trial.score),
    mark: trial.mark === "keep" ? "ok" : trial.mark }));
  points.push(...winPoints(step, x, y));
  const ring = draw("circle", { class: "ring", r: 6, visibility: "hidden" });
  picture.setAttribute("viewBox", `0 0 ${width} ${CHART_HEIGHT}`);
  picture.setAttribute("height", CHART_HEIGHT);
  picture.replaceChildren(...scoreMarks(low, high, y, width), ...placeMarks(0, end, isTime, x, CHART_HEIGHT - 6),
    ...points.map((point) => draw("circle", { class: `point ${point.mark}`, cx: point.x.toFixed(1),
      cy: point.y.toFixed(1), r: point.mark === "keep" ? 5 : 3 })),
    staircase(chart.frontier.map(step), end, x, y, "frontier"), staircase(chart.best.map(step), end, x, y, "best"), ring);
  picture.points = points.toSorted((a, b) => a.x - b.x);
  picture.ring = (point) => {
    for (const [name, value] of [["cx", point?.x ?? 0], ["cy", point?.y ?? 0]]) ring.setAttribute(name, value);
    ring.setAttribute("visibility", point ? "visible" : "hidden");
  };
  picture.nearest = (event) => {
    const box = picture.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
    const far = (point) => Math.hypot(point.x - px, point.y - py);
    const found = points.reduce((a, b) => (far(b) < far(a) ? b : a), { x: -1e9, y: 0 });
    const near = far(found) < NEAR ? found : null;
    picture.ring(near);
    return near?.trial ?? null;
  };
  if (picture === document.activeElement) showChosen(picture);
}

// Bars are there for all of the latest trials; points are not, or they would look like a crowd.
function isPoint({ mark, number }) {
  return mark === "keep" || mark === "advance" || (mark !== "running" && (number - 1) % chart.every === 0);
}

// A win stands at what its proof says: the trial that settled it may be a run of the best before it.
function winPoints(step, x, y) {
  const trials = new Map(chart.trials.map((trial) => [trial.number, trial]));
  return chart.best.slice(1).flatMap((level) => {
    const trial = trials.get(level[0]), [place, score] = step(level);
    return trial ? [{ trial: { ...trial, score, mark: "win" }, x: x(place), y: y(score), mark: "keep" }] : [];
  });
}

// Outliers do not set the scale: they stand at its worse edge. Worked out as if lower were better.
function scoreScale() {
  const sign = chart.rises ? -1 : 1;
  const scores = chart.trials.filter(({ score }) => score !== null).map(({ score }) => sign * score).sort((a, b) => a - b);
  const levels = [...chart.best, ...chart.frontier].map(([, , score]) => sign * score);
  const low = Math.min(scores[0] ?? 0, ...levels);
  const high = Math.max(scores[Math.floor(0.95 * scores.length)] ?? 1, scores[Math.floor(0.95 * (scores.length - 1))] ?? 1,
    ...levels);
  const room = 0.06 * (high - low || 1);
  return chart.rises ? [-high - room, -low + 2 * room] : [low - 2 * room, high + room];
}

function scoreMarks(low, high, y, width) {
  const step = roundStep((high - low) / 5), digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return multiples(step, low, high).flatMap((score) => [
    draw("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(score), y2: y(score) }),
    draw("text", { x: EDGE.left - 6, y: y(score) + 4, "text-anchor": "end" }, score.toFixed(digits))]);
}

// A score as `write_number` writes it.
function scoreWords(score) {
  if (chart.decimals === null || chart.decimals > 6) return String(Number(score.toPrecision(6)));
  return score.toFixed(Math.max(0, chart.decimals));
}

// Below a picture: numbers of trials, or times. The words of the outermost stay within it.
function placeMarks(begin, end, isTime, x, y) {
  const most = Math.max(2, Math.min(6, (x(end) - x(begin)) / 90)), rough = (end - begin) / most || 1;
  const step = isTime ? TIME_STEPS.find((one) => one >= rough) ?? DAY * Math.ceil(rough / DAY)
    : Math.max(1, roundStep(rough));
  return multiples(step, begin, end).map((place) => draw("text", { x: x(place), y,
    "text-anchor": x(end) - x(place) < 20 ? "end" : x(place) - x(begin) < 20 ? "start" : "middle" },
    isTime ? timeWords(place) : place.toLocaleString("en")));
}

// The next of 1, 2, 5, 10, 20, 50 ... in every order of magnitude.
function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
}

function multiples(step, low, high) {
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

function timeWords(seconds) {
  if (seconds < 120) return `${seconds} s`;
  const parts = [[Math.floor(seconds / 3600), "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  return parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

function staircase(levels, end, x, y, name) {
  const path = levels.map(([place, score], index) => `${index ? "H" : "M"}${x(place).toFixed(1)}` +
    `${index ? "V" : " "}${y(score).toFixed(1)}`);
  return draw("path", { class: `level ${name}`, d: levels.length ? `${path.join("")}H${x(end).toFixed(1)}` : "" });
}

function drawSlots(picture) {
  const bars = chart.trials.filter(({ lane, start, end }) => lane >= 0 && start !== null && end !== null);
  document.getElementById("slots").hidden = !bars.length;
  if (!bars.length) return;
  const width = picture.parentElement.clientWidth, height = LANE * chart.lanes.length + EDGE.bottom + 4;
  const begin = Math.min(...bars.map(({ start }) => start)), end = Math.max(...bars.map((bar) => bar.end));
  const left = 16 + 7 * Math.max(...chart.lanes.map(({ length }) => length));
  const x = (moment) => left + ((width - left - EDGE.right) * (moment - begin)) / (end - begin || 1);
  const marks = placeMarks(begin, end, true, x, height - 6);
  picture.setAttribute("viewBox", `0 0 ${width} ${height}`);
  picture.setAttribute("height", height);
  picture.replaceChildren(...marks,
    ...chart.lanes.map((name, lane) => draw("text", { x: left - 8, y: LANE * lane + 13, "text-anchor": "end" }, name)),
    ...bars.map((bar) => draw("rect", { class: `bar-of ${bar.mark}`, "data-trial": bar.trial, x: x(bar.start).toFixed(1),
      y: LANE * bar.lane + 2, width: Math.max(1, x(bar.end) - x(bar.start) - 0.5).toFixed(1), height: LANE - 3 })));
  picture.nearest = (event) => bars.find((bar) => bar.trial === event.target.dataset?.trial) ?? null;
}

// A trial in a few words beside a place of the window; none: they go.
function showTip(trial, x, y) {
  const tip = document.getElementById("tip");
  tip.hidden = !trial;
  if (!trial) return;
  tip.replaceChildren(make("b", {}, headOf(trial)), make("br"), trial.words);
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(room, x + 12))}px`;
  tip.style.top = `${y + 16}px`;
}

function headOf({ trial, mark, score }) {
  return `${trial} ${mark}${score === null ? "" : ` ${scoreWords(score)}`}`;
}

function listenToCharts() {
  for (const picture of document.querySelectorAll("#progress svg, #slots svg")) {
    picture.addEventListener("pointermove", (event) => {
      const trial = picture.nearest?.(event);
      picture.classList.toggle("near", Boolean(trial));
      showTip(trial, event.clientX, event.clientY);
    });
    picture.addEventListener("pointerleave", () => showTip(null));
  }
  listenToKeys(document.querySelector("#progress svg"));
  document.querySelector("#progress svg").addEventListener("click", (event) => {
    const trial = event.currentTarget.nearest?.(event);
    if (trial) openPanel(trial.trial);
  });
  for (const choice of document.querySelectorAll("#progress input")) choice.addEventListener("change", drawCharts);
  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    if (width === (width = document.body.clientWidth)) return;
    drawCharts();
  });
}
