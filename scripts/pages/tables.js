/*
Tables that sort and filter: each table.sortable gets a button in every heading, and a filter field above if it is long.
Sorts by the attribute data-value of a cell if there is one, else by its text, as numbers where all of a column are.
Works without a server. Without this script the tables are whole, in the order in which they were written.
*/
"use strict";
(() => {
  const FILTERED_FROM = 25; // rows
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

  const valueOf = cell => (cell ? cell.dataset.value ?? cell.textContent.trim() : "");
  const numberOf = text => (text === "" ? NaN : Number(text.replace(/[,\s%]/g, "").replace("\u2212", "-")));

  function sort(table, column, descending) {
    const body = table.tBodies[0], rows = [...body.rows].map(row => ({ row, text: valueOf(row.cells[column]) }));
    const numbers = rows.map(({ text }) => numberOf(text));
    const numeric = rows.every(({ text }, index) => text === "" || text === "nan" || !Number.isNaN(numbers[index]));
    rows.forEach((own, index) => { own.number = numbers[index]; });
    const isEmpty = own => own.text === "" || (numeric && Number.isNaN(own.number));
    const sign = descending ? -1 : 1;
    rows.sort((a, b) => {
      if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b); // cells without a value come last in both orders
      return sign * (numeric ? a.number - b.number : collator.compare(a.text, b.text));
    });
    body.append(...rows.map(({ row }) => row));
  }

  function addButtons(table) {
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      if (head.dataset.sort === "no" || !head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      head.classList.add("can-sort");
      button.addEventListener("click", () => {
        const former = head.getAttribute("aria-sort");
        // What is large is looked for first in numbers, what comes first in the alphabet in texts.
        const descending = former ? former === "ascending" : head.classList.contains("number");
        heads.forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }

  function addFilter(table) {
    const body = table.tBodies[0], total = body.rows.length;
    const tools = document.createElement("div"), label = document.createElement("label");
    const input = document.createElement("input"), count = document.createElement("output");
    const name = table.dataset.name || table.closest("[aria-label]")?.getAttribute("aria-label") || "";
    tools.className = "tools no-print";
    input.type = "search";
    if (name) input.setAttribute("aria-label", `Filter ${name}`);
    label.append("Filter", input);
    count.className = "muted small";
    const say = shown => { count.textContent = `${shown.toLocaleString("en")} of ${total.toLocaleString("en")} rows`; };
    let waiting;
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of body.rows) {
        const text = [...row.cells].map(cell => cell.textContent).join("\n").toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
        shown += !row.hidden;
      }
      say(shown);
    };
    input.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, total > 500 ? 150 : 0); });
    say(total);
    tools.append(label, count);
    (table.closest(".scroll") || table).before(tools);
  }

  /** Make a table sortable, and filterable if it is long; for tables that a script adds to the page. */
  function enhance(table) {
    if (table.dataset.enhanced || !table.tHead || !table.tBodies.length) return;
    table.dataset.enhanced = "yes";
    if (table.tBodies[0].rows.length > 1) addButtons(table);
    if (table.tBodies[0].rows.length >= FILTERED_FROM && table.dataset.filter !== "no") addFilter(table);
  }

  const enhanceAll = () => document.querySelectorAll("table.sortable").forEach(enhance);
  window.lightfitTables = { enhance, enhanceAll };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", enhanceAll);
  else enhanceAll();

  // A printed page has all of it: parts that were folded are folded again afterwards.
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach(part => { part.open = true; });
  });
  window.addEventListener("afterprint", () => { opened.forEach(part => { part.open = false; }); opened = []; });
})();
