const data = JSON.parse(byId("json").textContent);

function flip([id, label, before, beforeConfidence, after, afterConfidence, uri, whole]) {
  const line = (what, name, confidence) => answer(what, name, confidence, name === label ? "good" : "bad");
  const lines = [answer("is", label, null, ""), line("A", before, beforeConfidence), line("B", after, afterConfidence)];
  return framed({ uri, whole, id, lines, alt: `Test image of ${label}, classified as ${before} by ${data.a}, as ${after} by ${data.b}` });
}

const filter = byId("filter");
function list() {
  for (const gallery of document.querySelectorAll("[data-flips]")) {
    const wanted = data[gallery.dataset.flips].filter(([, label]) => !filter.value || label === filter.value);
    unfold(gallery, wanted.map((one) => () => flip(one)));
  }
}
filter.addEventListener("change", list);
byId("choice").hidden = !(data.lost.length || data.gained.length);
list();
