const { names, images, cells, counts, totals, suspects } = JSON.parse(byId("json").textContent);

// The theme, which theme.js switches
byId("theme").addEventListener("click", () => draw());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());

// Pictures
function picture([id, actual, predicted, confidence, base, baseConfidence, uri, whole]) {
  const lines = [answer("label", names[actual], null, "")];
  lines.push(answer("model", names[predicted], confidence, actual === predicted ? "good" : "bad"));
  // A class that only the base knows has no number.
  if (base !== null) lines.push(answer("base", names[base] ?? base, baseConfidence, base === actual ? "good" : "bad"));
  return framed({ uri, whole, id, lines, alt: `Test image of ${names[actual]}, classified as ${names[predicted]}` });
}

function suspect([id, source, split, label, suggested, reason, probability, suggestedProbability, uri, whole]) {
  const lines = [answer("label", label, probability, "bad")];
  if (suggested) lines.push(answer("or", suggested, suggestedProbability, "good"));
  lines.push(element("div", "path", element("bdi", "", source)), element("div", "note", `${split}; ${reason}`));
  return framed({ uri, whole, id, lines, alt: `${split} image labelled ${label}: ${reason}` });
}

for (const gallery of document.querySelectorAll("[data-suspects]")) unfold(gallery, suspects.map((one) => () => suspect(one)));

// The mistakes, of all classes or of one
const lists = [...document.querySelectorAll("[data-images]")].map((gallery) => [gallery, gallery.dataset.images.split(" ").filter(Boolean).map((place) => images[place])]);
const filter = byId("filter");
const [is, taken] = filter ? filter.querySelectorAll("select") : [];
const isWanted = (actual, predicted) => (!is?.value || actual === Number(is.value)) && (!taken?.value || predicted === Number(taken.value));
function list() {
  for (const [gallery, all] of lists) unfold(gallery, all.filter(([, actual, predicted]) => isWanted(actual, predicted)).map((one) => () => picture(one)));
  if (!filter) return;
  const count = counts.reduce((sum, [actual, predicted, some]) => sum + (actual !== predicted && isWanted(actual, predicted) ? some : 0), 0);
  const pictured = lists[0][1].filter(([, actual, predicted]) => isWanted(actual, predicted)).length;
  const what = `${count} ${count === 1 ? "mistake" : "mistakes"}`;
  byId("filter-status").textContent = pictured === count ? what : `${what}, ${pictured} of them on this page`;
}
filter?.addEventListener("change", list);
if (filter) filter.hidden = false;
list();

// A generation of all
const chosen = byId("generation");
function choose() {
  for (const one of document.querySelectorAll("[data-generation]")) {
    const isChosen = one.dataset.generation === chosen.value;
    one.classList.toggle("chosen", isChosen);
    if (one.matches("details")) {
      one.open = isChosen;
      one.hidden = !isChosen;
    }
  }
}
if (chosen) {
  chosen.addEventListener("change", choose);
  byId("choice").hidden = false;
  byId("generations").classList.add("one");
  choose();
}

// A cell of the confusion matrix
function open(cell, count) {
  const [actual, predicted] = cell.split(",").map(Number);
  const right = actual === predicted;
  const shown = cells[cell] || [];
  byId("cell-title").replaceChildren(named(names[actual]), right ? " classified correctly" : " classified as ", right ? "" : named(names[predicted]));
  const order = right ? "the least confident first" : "the most confident first";
  byId("cell-note").textContent = shown.length === count
    ? `${count} ${count === 1 ? "image" : `images, ${order}`}.`
    : `${shown.length} of ${count} images are on this page, ${order}; data/report/predictions.csv lists all.`;
  byId("cell-images").replaceChildren(...shown.map((place) => picture(images[place])));
  byId("cell").showModal();
}
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-cell]");
  if (button) open(button.dataset.cell, Number(button.dataset.count));
});

// The matrix of many classes, drawn
const map = byId("map");
let zoom = 4;
function draw() {
  if (!map) return;
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
  const found = new Map(counts.map(([actual, predicted, count]) => [`${actual},${predicted}`, count]));
  const at = (event) => [Math.floor(event.offsetY / zoom), Math.floor(event.offsetX / zoom)];
  map.addEventListener("mousemove", (event) => {
    const [actual, predicted] = at(event);
    if (actual in names && predicted in names) {
      byId("under").replaceChildren(named(names[actual]), " classified as ", named(names[predicted]), `: ${found.get(`${actual},${predicted}`) || 0}`);
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
