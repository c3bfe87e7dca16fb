// The page while the run goes: asks its server every two seconds, and puts in what has changed.

const POLL_MS = 2000;
const embedded = JSON.parse(document.getElementById("data")?.textContent ?? "{}");
const isLive = "revision" in embedded;
const received = new Map();  // section or trial -> its markup as it came

function rememberMarkup() {
  for (const section of document.querySelectorAll("[data-section]")) {
    received.set(section.dataset.section, section.innerHTML);
  }
  for (const row of document.querySelectorAll("tr[data-trial]")) received.set(row.dataset.trial, row.innerHTML);
}

async function followRun() {
  let tag = `"${embedded.revision}"`;
  const state = document.getElementById("state");
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (document.hidden) continue;
    const [status, words, newTag] = await askServer(tag);
    if (status === 200) {
      showNews(JSON.parse(words));
      tag = newTag;
    }
    const isRead = status === 200 || status === 304;
    state.textContent = isRead ? "live" : words;
    state.className = isRead ? "good" : "bad";
  }
}

async function askServer(tag) {
  try {
    const answer = await fetch("/data", { headers: { "If-None-Match": tag }, cache: "no-store" });
    return [answer.status, await answer.text(), answer.headers.get("ETag")];
  } catch {
    return [0, "the server has ended; this is the run as it last was", ""];
  }
}

// `news.body` is the page's own template again, which has escaped what it was given. A parsed document runs no script.
function showNews(news) {
  for (const fresh of new DOMParser().parseFromString(news.body, "text/html").querySelectorAll("[data-section]")) {
    const name = fresh.dataset.section, markup = fresh.innerHTML;
    if (received.get(name) === markup) continue;
    received.set(name, markup);
    const section = document.querySelector(`[data-section="${name}"]`);
    const table = section.querySelector("table.sorted"), freshTable = fresh.querySelector("table.sorted");
    if (table && freshTable) updateRows(table, freshTable);
    else replaceSection(section, fresh);
  }
  dressTables();
  chart = news.chart;
  drawCharts();
}

// Rows that are as they were stay the elements that they are, with focus and all.
function updateRows(table, freshTable) {
  const place = table.parentElement, { scrollTop, scrollLeft } = place;
  const old = new Map([...table.tBodies[0].rows].map((row) => [row.dataset.trial, row]));
  const rows = [...freshTable.tBodies[0].rows].map((row) => {
    const name = row.dataset.trial, markup = row.innerHTML;
    if (old.has(name) && received.get(name) === markup) return old.get(name);
    received.set(name, markup);
    row.className = old.get(name)?.className ?? "";
    row.classList.add("fresh");
    return row;
  });
  table.tBodies[0].replaceChildren(...rows);
  arrangeRows(table);
  place.scrollTo(scrollLeft, scrollTop);
}

function replaceSection(section, fresh) {
  const boxes = () => [...section.querySelectorAll(".scroll, pre")];
  const scrolled = boxes().map((box) => [box.scrollLeft, box.scrollTop]);
  section.replaceChildren(...fresh.childNodes);
  boxes().forEach((box, index) => box.scrollTo(...(scrolled[index] ?? [0, 0])));
}
