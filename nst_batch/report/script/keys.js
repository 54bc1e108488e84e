// --- keys -------------------------------------------------------------------------------------------------------------

function focusOn(button) {  // the one that Tab comes back to
  for (const other of main.querySelectorAll('.pic[tabindex="0"]')) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest", inline: "nearest" });
}
function move(key) {
  const all = [...main.querySelectorAll(".pic")];
  if (!all.length) return;
  const from = all.indexOf(document.activeElement);
  let to = all[0];
  if (key === "Home" || key === "End") to = all.at(key === "Home" ? 0 : -1);
  else if (from >= 0 && (key === "ArrowLeft" || key === "ArrowRight")) to = all[from + (key === "ArrowLeft" ? -1 : 1)];
  else if (from >= 0) to = beyond(all, all[from], key === "ArrowUp" ? -1 : 1);
  if (to) focusOn(to);
}
function beyond(all, from, way) {  // the nearest one above or below
  const here = from.getBoundingClientRect();
  let best = null, least = Infinity;
  for (const each of all) {
    const there = each.getBoundingClientRect();
    const down = way * (there.top + there.bottom - here.top - here.bottom) / 2;
    const aside = Math.abs(there.left + there.right - here.left - here.right) / 2;
    if (down > Math.min(here.height, there.height) / 2 && down + 2 * aside < least) [best, least] = [each, down + 2 * aside];
  }
  return best;
}
function view(kind) {
  state.view = kind;
  draw();
}
function theme() {
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  state.theme = dark ? "light" : "dark";
  document.documentElement.dataset.theme = state.theme;
  keep();
}
function tools(open) {
  $("tools").classList.toggle("open", open);
  $("more").setAttribute("aria-expanded", $("tools").classList.contains("open"));
}

const inLarge = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), 1: () => look("compare"), 2: () => look("three"), 3: () => look("result"),
  "[": () => slide(-10), "]": () => slide(10), z: toggleWhole, t: theme,
};
const onPage = {
  "/": () => { tools(true); $("search").focus(); }, g: () => view("grid"), l: () => view("list"), t: theme,
  "?": () => $("keys").showModal(),
};
for (const key of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]) onPage[key] = () => move(key);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const { target, key } = event;
  if (target === $("search")) {
    if (key === "Escape") { target.value ? find("") : target.blur(); event.preventDefault(); }
    return;
  }
  if (target.matches("select, input") && (target.matches("select") || key.startsWith("Arrow") || key === "Home" || key === "End")) return;
  const action = (dialog.open ? inLarge : onPage)[key];
  if (!action) return;
  action();
  event.preventDefault();
});
