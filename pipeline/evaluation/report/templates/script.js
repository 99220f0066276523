"use strict";
// Names and texts come into the page as text only, never as markup.
const { names, images, cells, suspects } = JSON.parse(document.getElementById("json").textContent);

function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

function named(name) {
  const made = element("bdi", "name", name);
  made.title = name;
  return made;
}

const percent = (share) => `${(share * 100).toFixed(1)}%`;

// The theme, which theme.js switches
byId("theme").addEventListener("click", () => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());

// Pictures
function answer(what, name, confidence, className) {
  const line = element("div", className, element("span", "what", what), named(name));
  if (confidence !== null) line.append(element("span", "sure", percent(confidence)));
  return line;
}

function picture([id, actual, predicted, confidence, base, baseConfidence, uri]) {
  const image = element("img");
  image.alt = `Test image of ${names[actual]}, taken for ${names[predicted]}`;
  image.title = id;
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 64));
  image.src = uri;
  const caption = element("figcaption", "", answer("is", names[actual], null, ""));
  caption.append(answer("model", names[predicted], confidence, actual === predicted ? "good" : "bad"));
  if (base !== null) {
    // A class that only the base knows has no number.
    caption.append(answer("base", names[base] ?? base, baseConfidence, base === actual ? "good" : "bad"));
  }
  return element("figure", "", image, caption);
}

function suspect([source, split, label, suggested, reason, probability, suggestedProbability, uri]) {
  const image = element("img");
  image.alt = `${split} image labelled ${label}: ${reason}`;
  image.title = source;
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 64));
  image.src = uri;
  const caption = element("figcaption", "", answer("label", label, probability, "bad"));
  if (suggested) caption.append(answer("or", suggested, suggestedProbability, "good"));
  caption.append(element("div", "path", element("bdi", "", source)), element("div", "note", `${split}; ${reason}`));
  return element("figure", "", image, caption);
}

function unfold(gallery, figures) {
  const most = Number(gallery.dataset.most);
  const show = (some) => gallery.append(...some.map((figure) => figure()));
  show(figures.slice(0, most));
  if (figures.length > most) {
    const more = element("button", "more", `Show ${figures.length - most} more`);
    more.type = "button";
    more.addEventListener("click", () => {
      show(figures.slice(most));
      more.remove();
    });
    gallery.after(more);
  }
}

for (const gallery of document.querySelectorAll("[data-images]")) {
  const places = gallery.dataset.images ? gallery.dataset.images.split(" ") : [];
  unfold(gallery, places.map((place) => () => picture(images[place])));
}
for (const gallery of document.querySelectorAll("[data-suspects]")) unfold(gallery, suspects.map((one) => () => suspect(one)));

// A cell of the confusion matrix
function open(cell, count) {
  const [actual, predicted] = cell.split(",").map(Number);
  const right = actual === predicted;
  const shown = cells[cell] || [];
  byId("cell-title").replaceChildren(named(names[actual]), right ? " recognized" : " taken for ", right ? "" : named(names[predicted]));
  const order = right ? "the least sure first" : "the surest first";
  byId("cell-note").textContent = shown.length === count
    ? `${count} ${count === 1 ? "image" : `images, ${order}`}.`
    : `${shown.length} of ${count} images are in this page, ${order}; data/report/predictions.csv lists all.`;
  byId("cell-images").replaceChildren(...shown.map((place) => picture(images[place])));
  byId("cell").showModal();
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cell]");
  if (button) open(button.dataset.cell, Number(button.dataset.count));
});
byId("close").addEventListener("click", () => byId("cell").close());
byId("cell").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});

// Tables that can be sorted, searched and unfolded
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const most = Number(table.dataset.most);
  const find = document.querySelector(`[data-filter="${table.id}"]`);
  const more = document.querySelector(`[data-more="${table.id}"]`);
  const status = document.querySelector(`[data-status="${table.id}"]`);
  let all = body.rows.length <= most;

  const show = () => {
    const wanted = find.value.trim().toLowerCase();
    const rows = [...body.rows];
    const found = rows.filter((row) => !wanted || [...row.querySelectorAll("bdi")].some((name) => name.textContent.toLowerCase().includes(wanted)));
    const shown = new Set(all || wanted ? found : found.slice(0, most));
    for (const row of rows) row.hidden = !shown.has(row);
    more.hidden = all || Boolean(wanted);
    status.textContent = wanted ? `${found.length} of ${rows.length}` : "";
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
  find.addEventListener("input", show);
  more.addEventListener("click", () => {
    all = true;
    show();
  });
  show();
}

// The matrix of many classes, drawn
const map = byId("map");
let zoom = 4;
function draw() {
  if (!map) return;
  const counts = JSON.parse(map.dataset.counts);
  const totals = JSON.parse(map.dataset.totals);
  const style = getComputedStyle(root);
  map.width = map.height = names.length;
  map.style.width = map.style.height = `${names.length * zoom}px`;
  const paint = map.getContext("2d");
  for (const [actual, predicted, count] of counts) {
    paint.globalAlpha = 0.25 + 0.75 * Math.sqrt(count / totals[actual]);
    paint.fillStyle = style.getPropertyValue(actual === predicted ? "--accent" : "--bad");
    paint.fillRect(predicted, actual, 1, 1);
  }
}
if (map) {
  const found = new Map(JSON.parse(map.dataset.counts).map(([actual, predicted, count]) => [`${actual},${predicted}`, count]));
  const at = (event) => [Math.floor(event.offsetY / zoom), Math.floor(event.offsetX / zoom)];
  map.addEventListener("mousemove", (event) => {
    const [actual, predicted] = at(event);
    if (actual in names && predicted in names) {
      byId("under").replaceChildren(named(names[actual]), " taken for ", named(names[predicted]), `: ${found.get(`${actual},${predicted}`) || 0}`);
    }
  });
  map.addEventListener("click", (event) => {
    const cell = at(event).join(",");
    if (found.has(cell)) open(cell, found.get(cell));
  });
  byId("zoom").addEventListener("click", (event) => {
    const step = Number(event.target.dataset.zoom || 0);
    zoom = Math.max(1, Math.min(24, Math.round(zoom * 1.5 ** step)));
    draw();
  });
  draw();
}
