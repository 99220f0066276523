// Tables that can be sorted, and where there is something to do so with, searched and unfolded.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const most = Number(table.dataset.most ?? Infinity);
  const part = (kind) => (table.id ? document.querySelector(`[data-${kind}="${table.id}"]`) : null);
  const find = part("filter"), more = part("more"), status = part("status");
  let all = body.rows.length <= most;

  const show = () => {
    const wanted = find ? find.value.trim().toLowerCase() : "";
    const rows = [...body.rows];
    const found = rows.filter((row) => !wanted || [...row.querySelectorAll("bdi")].some((name) => name.textContent.toLowerCase().includes(wanted)));
    const shown = new Set(all || wanted ? found : found.slice(0, most));
    for (const row of rows) row.hidden = !shown.has(row);
    if (more) more.hidden = all || Boolean(wanted);
    if (status) status.textContent = wanted ? `${found.length} of ${rows.length}` : "";
  };

  const sort = (column, direction) => {
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const numeric = [...body.rows].every((row) => "value" in row.cells[column].dataset);
    const compare = (a, b) => (numeric ? Number(a) - Number(b) : a.localeCompare(b)) * direction;
    // What is not measured stays last.
    const order = (a, b) => (value(a) === "") - (value(b) === "") || compare(value(a), value(b));
    body.append(...[...body.rows].sort(order));
  };

  for (const header of table.tHead.rows[0].cells) {
    header.querySelector("button")?.addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(header.cellIndex, up ? 1 : -1);
      show();
    });
  }
  find?.addEventListener("input", show);
  more?.addEventListener("click", () => {
    all = true;
    show();
  });
  show();
}
