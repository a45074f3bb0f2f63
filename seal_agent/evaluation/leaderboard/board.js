"use strict";
// Sorting is tablesort's; this adds which end comes first, filters, the list of columns for narrow screens, and the choice
// of light or dark.
(function () {
  const root = document.documentElement;
  const button = document.getElementById("theme");

  function remembered() {
    try { return localStorage.getItem("theme"); } catch { return null; }
  }

  function show(theme) {
    root.dataset.theme = theme;
    button.setAttribute("aria-pressed", String(theme === "dark"));
  }

  show(remembered() || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
  button.addEventListener("click", function () {
    const theme = root.dataset.theme === "dark" ? "light" : "dark";
    show(theme);
    try { localStorage.setItem("theme", theme); } catch { /* a page opened as a file may not remember */ }
  });

  function filter(form, rows) {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = words.every((word) => text.includes(word))
        && (!form.elements.model.value || row.dataset.model === form.elements.model.value)
        && (!form.elements.recipe.value || row.dataset.recipe === form.elements.recipe.value);
      row.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }

  // Tablesort turns the direction of a heading round, from none to ascending.
  function chooseDirection(head) {
    if (!head.hasAttribute("aria-sort") && head.hasAttribute("data-high-first")) head.setAttribute("aria-sort", "ascending");
  }

  function putMissingLast(table, head) {
    for (const row of Array.from(table.tBodies[0].rows)) {
      if (row.cells[head.cellIndex].classList.contains("none")) table.tBodies[0].appendChild(row);
    }
  }

  for (const table of document.querySelectorAll("table.board")) {
    const form = table.closest("section").querySelector("form");
    const rows = Array.from(table.tBodies[0].rows);
    const heads = table.tHead.rows[0];
    const beforeTablesort = { capture: true };
    heads.addEventListener("click", (event) => chooseDirection(event.target.closest("th")), beforeTablesort);
    heads.addEventListener("keydown", function (event) {
      if (event.key === "Enter") chooseDirection(event.target.closest("th"));
    }, beforeTablesort);
    table.addEventListener("afterSort", function () {
      const head = heads.querySelector("th[aria-sort]");
      putMissingLast(table, head);
      form.elements.sort.value = head.cellIndex;
    });
    new Tablesort(table);
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["text", "model", "recipe"]) {
      form.elements[name].addEventListener("input", () => filter(form, rows));
    }
    form.elements.sort.addEventListener("input", function () {
      const head = heads.cells[Number(this.value)];
      head.removeAttribute("aria-sort");
      head.click();
    });
  }
})();
