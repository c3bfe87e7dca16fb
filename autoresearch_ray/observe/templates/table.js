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
    const words = search.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  };
  table.parentElement.before(search);
}
