"use strict";
// The page is whole without this script: it adds sorting, a theme button and tab stops for areas that scroll.
(() => {
  const root = document.documentElement;
  const table = document.querySelector("table.verdicts");
  const status = document.getElementById("status");

  const key = (body, column) => {
    if (column === 1) return Number(body.dataset.rank);
    const cell = body.rows[0].cells[column];
    const number = cell.querySelector("[data-value]");
    return number ? Number(number.dataset.value) : cell.textContent.trim();
  };
  const numeric = (value) => typeof value === "number";
  const compare = (a, b) => {
    if (numeric(a) && numeric(b)) return a - b;
    if (numeric(a) !== numeric(b)) return numeric(a) ? -1 : 1;
    return a.localeCompare(b, "en");
  };
  const sort = (header, column) => {
    const up = header.getAttribute("aria-sort") !== "ascending";
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", up ? "ascending" : "descending");
    const bodies = [...table.tBodies];
    bodies.sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)));
    table.append(...bodies);
    status.textContent = "Sorted by " + header.textContent + (up ? ", ascending" : ", descending");
  };
  if (table) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      if (column === 6) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      button.addEventListener("click", () => sort(header, column));
      header.append(button);
    });
  }

  for (const input of document.querySelectorAll(".counts input")) {
    input.addEventListener("change", () => {
      const shown = [...table.tBodies].filter((body) => body.getClientRects().length > 0).length;
      status.textContent = shown + " of " + table.tBodies.length + " checks shown";
    });
  }

  const theme = document.getElementById("theme");
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  theme.hidden = false;
  name();

  const reach = (area) => {
    if (area.hasAttribute("role")) return;
    if (area.scrollWidth > area.clientWidth + 1) area.tabIndex = 0;
    else area.removeAttribute("tabindex");
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => reach(entry.target)));
  document.querySelectorAll(".scroll, .plot").forEach((area) => watch.observe(area));

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
})();
