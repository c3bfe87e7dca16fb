// The chart by keys: while it has the focus one point is chosen, ringed, and read out. Enter opens its trial.

let chosen = null;  // of a point, what finds it again after a redraw

function listenToKeys(picture) {
  picture.addEventListener("focus", () => {
    if (picture.matches(":focus-visible")) choosePoint(picture, findChosen(picture));  // not by a click
  });
  picture.addEventListener("blur", () => {
    picture.ring(null);
    showTip(null);
  });
  picture.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !picture.points?.length) return;
    const next = pointFor(event.key, picture.points, findChosen(picture));
    if (next) choosePoint(picture, next);
    else if (event.key === "Enter" && chosen) openPanel(chosen.trial);
    else return;
    event.preventDefault();
  });
  addEventListener("scroll", () => {
    if (picture === document.activeElement) showChosen(picture);
  }, { passive: true });
}

// Left and right: the trial before and after. Up and down: the win or advance before and after.
function pointFor(key, points, now) {
  const at = points.indexOf(now), isStep = ({ mark }) => mark === "keep" || mark === "advance";
  const to = { ArrowLeft: points[at - 1], ArrowRight: points[at + 1], Home: points[0], End: points.at(-1),
    ArrowUp: points.slice(0, at).findLast(isStep), ArrowDown: points.slice(at + 1).find(isStep) };
  return key in to ? to[key] ?? now : null;
}

// The point that was chosen; the latest before one was, or when it is not drawn any more.
function findChosen({ points }) {
  return points.find(({ trial }) => trial.trial === chosen?.trial && trial.mark === chosen.mark) ?? points.at(-1);
}

function choosePoint(picture, point) {
  chosen = { trial: point.trial.trial, mark: point.trial.mark };
  showChosen(picture);
  document.getElementById("spoken").textContent = `${headOf(point.trial)}. ${point.trial.words}. ` +
    `Point ${picture.points.indexOf(point) + 1} of ${picture.points.length}`;
}

function showChosen(picture) {
  if (!chosen) return;
  const point = findChosen(picture), box = picture.getBoundingClientRect();
  picture.ring(point);
  showTip(point.trial, box.left + point.x, box.top + point.y);
}
