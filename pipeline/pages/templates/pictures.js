// Names and texts come into the page as text only, never as markup.
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

function answer(what, name, confidence, className) {
  const line = element("div", className, element("span", "what", what), named(name));
  if (confidence !== null) line.append(element("span", "sure", percent(confidence)));
  return line;
}

function drawn(uri, alt) {
  const image = element("img");
  image.alt = alt;
  image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 64));
  image.src = uri;
  return image;
}

// A picture that opens at full size: `whole` is that picture, empty where `uri` is all there is, null where the page
// has no room for it; `id` is the image's.
const shown = new WeakMap();
function framed({ uri, whole, alt, id, lines }) {
  const button = element("button", "enlarge", drawn(uri, alt));
  button.type = "button";
  const figure = element("figure", "", button, element("figcaption", "", ...lines));
  shown.set(figure, { uri: whole || uri, alt, id, isCut: whole === null });
  button.addEventListener("click", () => enlarge(figure));
  return figure;
}

let opened;
function enlarge(figure) {
  opened = figure;
  const { uri, alt, id, isCut } = shown.get(figure);
  const all = [...figure.parentElement.children];
  const place = all.indexOf(figure);
  byId("viewer-title").textContent = alt;
  byId("viewer-image").replaceChildren(drawn(uri, alt));
  byId("viewer-caption").replaceChildren(...[...figure.querySelector("figcaption").children].map((line) => line.cloneNode(true)));
  const smaller = isCut ? "This page has no room for it at full size. " : "";
  byId("viewer-note").replaceChildren(...(id ? [`${smaller}Where its file is: `, element("code", "", `pipeline trace ${id}`)] : [smaller]));
  byId("viewer-place").textContent = `${place + 1} of ${all.length}`;
  byId("viewer-before").disabled = place === 0;
  byId("viewer-after").disabled = place === all.length - 1;
  if (!byId("viewer").open) byId("viewer").showModal();
}

function step(by) {
  const next = by < 0 ? opened.previousElementSibling : opened.nextElementSibling;
  if (next && shown.has(next)) enlarge(next);
}
byId("viewer-before").addEventListener("click", () => step(-1));
byId("viewer-after").addEventListener("click", () => step(1));
byId("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
byId("viewer").addEventListener("close", () => opened.querySelector("button").focus());

// Escape closes a dialog, and so do its button and a click beside it.
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// Lists of pictures, of which a few are shown at first.
const MORE = 48;
function unfold(gallery, figures, first = Number(gallery.dataset.most)) {
  if (gallery.nextElementSibling?.matches(".more")) gallery.nextElementSibling.remove();
  gallery.replaceChildren(...figures.slice(0, first).map((figure) => figure()));
  if (!figures.length) gallery.append(element("p", "none", "There are none of this kind."));
  if (figures.length <= first) return;
  const more = element("button", "more");
  more.type = "button";
  let count = first;
  const label = () => (more.textContent = `Show ${Math.min(MORE, figures.length - count)} more`);
  more.addEventListener("click", () => {
    const added = figures.slice(count, count + MORE).map((figure) => figure());
    gallery.append(...added);
    count += added.length;
    added[0].querySelector("button").focus();
    if (count < figures.length) label();
    else more.remove();
  });
  label();
  gallery.after(more);
}
