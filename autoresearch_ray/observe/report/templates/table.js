// Tables that can be sorted and filtered. What a reader chose is kept when rows come in.

// An element with attributes and children; strings become text nodes, so that no foreign text becomes markup.
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function dressTables() {
  for (const table of document.querySelectorAll("table.sorted:not([data-dressed])")) dressTable(table);
}

function dressTable(table) {
  table.dataset.dressed = "";
  const heads = [...table.tHead.rows[0].cells];
  for (const head of heads) {
    head.dataset.sorts = "";
    head.addEventListener("click", () => {
      const [first, second] = "rises" in head.dataset ? ["descending", "ascending"] : ["ascending", "descending"];
      const way = head.getAttribute("aria-sort") === first ? second : first;  // the best come first
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", way);
      sortRows(table);
    });
  }
  const search = make("input", { type: "search", "aria-label": "filter the rows",
    placeholder: "filter by words; click a column to sort" });
  const choices = heads.filter((head) => "choose" in head.dataset).map((head) =>
    make("select", { "aria-label": head.textContent, "data-column": head.cellIndex }));
  const shown = make("span", { class: "note", role: "status" });
  table.parentElement.before(make("div", { class: "bar" }, search, ...choices, shown));
  table.filter = { search, choices, shown };
  search.addEventListener("input", () => filterRows(table));
  choices.forEach((choice) => choice.addEventListener("change", () => filterRows(table)));
  arrangeRows(table);
}

// After rows have come in: sort and filter them as before.
function arrangeRows(table) {
  for (const choice of table.filter.choices) offerValues(table, choice);
  sortRows(table);
  filterRows(table);
}

function offerValues(table, choice) {
  const name = choice.getAttribute("aria-label"), chosen = choice.value;
  const values = new Set([...table.tBodies[0].rows].map((row) => row.cells[choice.dataset.column].textContent));
  if (chosen) values.add(chosen);
  const named = [...values].filter(Boolean).sort().map((value) => make("option", { value }, value));
  choice.replaceChildren(make("option", { value: "" }, `any ${name}`), ...named);
  choice.value = chosen;
}

function sortRows(table) {
  const head = table.tHead.querySelector("[aria-sort]");
  if (!head) return;
  const sign = head.getAttribute("aria-sort") === "ascending" ? 1 : -1, numeric = head.classList.contains("n");
  const read = (row) => row.cells[head.cellIndex].textContent.replaceAll(",", "");
  const keyed = [...table.tBodies[0].rows].map((row) => [numeric ? parseFloat(read(row)) : read(row), row]);
  keyed.sort(([a], [b]) => {
    if (!numeric) return sign * (a < b ? -1 : a > b ? 1 : 0);
    return isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : sign * (a - b);  // what has no number comes last
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
}

function filterRows(table) {
  const { search, choices, shown } = table.filter, rows = [...table.tBodies[0].rows];
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = words.length ? row.textContent.toLowerCase() : "";
    const isChosen = choices.every(({ value, dataset }) => !value || row.cells[dataset.column].textContent === value);
    row.hidden = !isChosen || !words.every((word) => text.includes(word));
    count += !row.hidden;
  }
  shown.textContent = count < rows.length ? `${count} of ${rows.length} shown` : "";
}
