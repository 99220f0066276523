const results = byId("results");
const status = byId("status");
const drop = byId("drop");
const SHOWN = 5, SMALL = 64;

function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function percent(share) {
  return `${(100 * share).toFixed(1)}\u00a0%`;
}

function say(text, isBad) {
  status.textContent = text;
  status.classList.toggle("bad", Boolean(isBad));
}

// The model reads more formats than a browser can display.
function picture(file, alt) {
  const frame = make("div", "picture"), image = make("img");
  image.alt = alt;
  image.addEventListener("load", () => {
    image.classList.toggle("small", Math.max(image.naturalWidth, image.naturalHeight) <= SMALL);
    URL.revokeObjectURL(image.src);
  });
  image.addEventListener("error", () => frame.replaceChildren("This browser cannot display this format."));
  image.src = URL.createObjectURL(file);
  frame.append(image);
  return frame;
}

function chances(top) {
  const table = make("table"), body = make("tbody");
  for (const guess of top.slice(0, SHOWN)) {
    const row = make("tr"), name = make("th"), cell = make("td"), chance = make("div", "chance");
    name.scope = "row";
    name.title = guess.class;
    name.append(make("bdi", "", guess.class));
    const track = make("span", "track"), filled = make("span");
    track.setAttribute("aria-hidden", "true");
    filled.style.width = `${100 * guess.confidence}%`;
    track.append(filled);
    chance.append(track, make("span", "number", percent(guess.confidence)));
    cell.append(chance);
    row.append(name, cell);
    body.append(row);
  }
  table.setAttribute("aria-label", "Probabilities");
  table.append(body);
  return table;
}

function card(file, told) {
  const item = make("li"), text = make("div", "told"), name = make("div", "file"), label = make("h2");
  name.append(make("bdi", "", file.name));
  label.append(make("bdi", told.class ? "" : "bad", told.class ?? `Cannot be used: ${told.refused}`));
  text.append(name, label, told.class ? chances(told.top) : make("p", "note", told.detail));
  item.append(picture(file, told.class ? `${file.name}: ${told.class}` : file.name), text);
  return item;
}

async function classify(files) {
  if (!files.length) return;
  say(files.length === 1 ? "Classifying…" : `Classifying ${files.length} images…`);
  const form = new FormData();
  for (const file of files) form.append("image", file, file.name || "pasted image");
  try {
    const response = await fetch("predict", { method: "POST", body: form });
    const answer = await response.json();
    if (answer.error) return say(answer.error, true);
    results.prepend(...answer.images.map((told, place) => card(files[place], told)));
    const usable = answer.images.filter((told) => told.class), count = answer.images.length;
    const what = count === 1 && usable.length ? `${usable[0].class}, ${percent(usable[0].confidence)}` : `${usable.length} of ${count} classified`;
    say(`${what}, by generation ${answer.model.generation} (${answer.model.hash.slice(0, 8)}…)`, !usable.length);
  } catch {
    say("The server does not answer, or the images are too large.", true);
  }
}

byId("files").addEventListener("change", (event) => {
  classify([...event.target.files]);
  event.target.value = "";
});
for (const kind of ["dragenter", "dragover"])
  addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
for (const kind of ["dragleave", "drop"]) addEventListener(kind, () => drop.classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  classify([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => classify([...event.clipboardData.files]));
