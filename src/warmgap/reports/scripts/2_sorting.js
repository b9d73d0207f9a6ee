// Tables sort by their heads: up, down, and back to the order of the page.
const NUMBER = /[\u2212+-]?\d[\d,]*(?:\.\d+)?/;
const COLLATOR = new Intl.Collator("en", { numeric: true });

// The first number of a cell, as the page writes them; null where it has none.
function cellNumber(text) {
  const found = text.match(NUMBER);
  return found ? Number(found[0].replace("\u2212", "-").replaceAll(",", "")) : null;
}

function sortTable(table, column, order) {
  const body = table.tBodies[0];
  const numeric = table.tHead.rows[0].cells[column].classList.contains("num");
  const keyed = Array.from(body.rows, (row) => {
    const text = row.cells[column].textContent.trim();
    return { row, place: Number(row.dataset.place), key: numeric ? cellNumber(text) : text === "\u2013" || text === "" ? null : text };
  });
  const step = order === "descending" ? -1 : 1;
  keyed.sort((a, b) => {
    if (order === "none" || a.key === b.key) return a.place - b.place;
    if (a.key === null || b.key === null) return a.key === null ? 1 : -1; // missing values stand last
    return step * (numeric ? a.key - b.key : COLLATOR.compare(a.key, b.key)) || a.place - b.place;
  });
  body.append(...keyed.map((k) => k.row));
  Array.from(table.tHead.rows[0].cells).forEach((head, i) => head.setAttribute("aria-sort", i === column ? order : "none"));
}

function makeSortable(table) {
  if (table.tBodies[0].rows.length < 2) return;
  Array.from(table.tBodies[0].rows).forEach((row, i) => { row.dataset.place = i; });
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = make("button", { type: "button", class: "sort", title: "Sort by this column" }, head.textContent);
    head.textContent = "";
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" };
      sortTable(table, column, next[head.getAttribute("aria-sort")]);
    });
  });
}

document.querySelectorAll("table").forEach(makeSortable);
