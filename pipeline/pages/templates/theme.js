"use strict";
const root = document.documentElement;
const byId = (id) => document.getElementById(id);

// Theme: that of the system until one is chosen.
function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
byId("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
});
