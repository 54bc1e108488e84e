// --- the head ---------------------------------------------------------------------------------------------------------

function find(text) {
  state.find = text;
  $("search").value = text;
  draw();
}

function head() {
  $("name").textContent = data.name;
  for (const [key, label] of Object.entries({ done: "done", failed: "failed", todo: "to do" })) {
    if (!data.counts[key]) continue;
    const there = pictures.some((picture) => picture.state === key);
    const toggle = () => {
      state.hidden = state.hidden.includes(key) ? state.hidden.filter((each) => each !== key) : [...state.hidden, key];
      draw();
    };
    $("states").append(el("button", { class: key, "data-state": key, title: there ? "Show or hide" : "None of them is in the sample", disabled: !there, text: `${data.counts[key].toLocaleString()} ${label}`, onclick: toggle }));
  }
  for (const axis of axes.filter(few)) {
    const select = el("select", { onchange: () => { state.axes[axis.name] = select.value; draw(); } },
      el("option", { value: "", text: "all" }), axis.values.map((each) => el("option", { value: JSON.stringify(each), text: word(each) })));
    select.value = state.axes[axis.name];
    $("axes").append(el("label", { "data-axis": axis.name }, `${axis.name} `, select));
  }
  choice("sort", Object.entries(SORTS).map(([key, [label]]) => [key, label]));
  const own = axes.filter(few).map((axis) => [axis.name, axis.name]);
  choice("across", sparse ? [["style", "style"], ["content", "content"], ...own] : [["style", "styles"], ...own]);
  if (sparse) {
    $("across-label").firstChild.textContent = "by ";
    $("as-grid").textContent = "Groups";
    $("as-grid").title = "What has a style, a content or a setting in common (g)";
    $("as-list").textContent = "Wall";
  }
  if (data.sample) $("search").placeholder = "Find in the sample";
  $("zoom").value = state.zoom;
  $("zoom").oninput = () => { state.zoom = Number($("zoom").value); document.documentElement.style.setProperty("--cell", `${state.zoom}px`); keep(); };
  $("search").value = state.find;
  $("search").oninput = () => find($("search").value);
  $("as-grid").onclick = () => view("grid");
  $("as-list").onclick = () => view("list");
  $("theme").onclick = theme;
  $("help").onclick = onPage["?"];
  $("more").onclick = () => tools();
  $("clear").onclick = () => {
    Object.assign(state, { hidden: [], axes: Object.fromEntries(axes.map((axis) => [axis.name, ""])) });
    for (const select of document.querySelectorAll("#axes select")) select.value = "";
    find("");
  };
  $("previous").onclick = () => step(-1);
  $("next").onclick = () => step(1);
  $("close").onclick = () => dialog.close();
  for (const button of dialog.querySelectorAll("[data-look]")) button.onclick = () => look(button.dataset.look);
  if (state.theme) document.documentElement.dataset.theme = state.theme;
}
function choice(id, options) {
  $(id).append(...options.map(([key, label]) => el("option", { value: key, text: label })));
  $(id).value = state[id];
  $(id).onchange = () => { state[id] = $(id).value; draw(); };
}

function facts() {
  const { size, steps } = data.settings;
  const seconds = pictures.reduce((sum, picture) => sum + (picture.seconds || 0), 0);
  const devices = new Set(pictures.filter((p) => p.state === "done").map((p) => `${p.host} ${p.device}`)).size;
  const warning = (text, long) => el("span", { class: "warning", title: long, text });
  const whole = data.sample || { contents: data.contents.length, styles: data.styles.length };
  const parts = [
    data.sample && el("b", { text: `a sample of ${pictures.length.toLocaleString()} of ${many(whole.pictures, "picture")}`,
      title: "Some failures of each kind, the slowest, and others from all over. `nst-batch report --sample N` shows more, --seed N others." }),
    `${many(whole.contents, "content")}${sparse ? "," : " ×"} ${many(whole.styles, "style")}`,
    size && steps && `${size} px, ${steps} evaluations`,
    !data.sample && seconds && `${clock(seconds)} on ${many(devices, "device")}`,
    `${data.live ? "running, " : ""}as of ${moment(data.written)}`,
    data.weights.includes("random") && warning("untrained weights", "Rendered with untrained weights, as the pipeline file asks: weights: random."),
    data.skipped > 0 && warning(`${many(data.skipped, "broken line")} in the manifest`, "Lines that a crash or a full disk has torn; what they said is not shown."),
  ];
  $("facts").append(...parts.filter(Boolean).flatMap((part, place) => (place ? [" · ", part] : [part])));
  const all = data.counts.done + data.counts.failed + data.counts.todo, share = (count) => `${(100 * count / all).toFixed(2)}%`;
  $("progress").hidden = !data.counts.todo;
  $("progress").style.setProperty("--done", share(data.counts.done));
  $("progress").style.setProperty("--ended", share(data.counts.done + data.counts.failed));
}

// --- while the run goes on, the page loads itself again, and finds its way back to where it was -----------------------

const EVERY = 60_000, SOON = 5_000, CALM = 15_000;  // milliseconds
let touched = 0;

function again() {
  const closely = dialog.open && current.state === "done";  // nothing about it will change, and a flicker would disturb
  const calm = Date.now() - touched > CALM && document.activeElement !== $("search");
  if (document.visibilityState === "visible" && calm && !closely && !$("keys").open) location.reload();
  else setTimeout(again, SOON);
}

function asked() {  // the picture that the address names
  let output = location.hash.slice(1);
  try { output = decodeURIComponent(output); } catch { /* not one of ours */ }
  return pictures.find((picture) => picture.output === output);
}
function restore() {
  main.scrollTo(...state.scroll);
  if (asked()) {
    openLarge(asked());
    $("about").scrollTop = state.about;
  } else {
    const focused = pictures.find((picture) => picture.output === state.focus);
    const button = focused && main.querySelector(`.pic[data-place="${focused.place}"]`);
    if (button) { button.tabIndex = 0; button.focus({ preventScroll: true }); }
  }
}
addEventListener("pagehide", () => {
  const focused = pictures[Number(document.activeElement.dataset.place)];
  Object.assign(state, { scroll: [main.scrollLeft, main.scrollTop], about: $("about").scrollTop, focus: focused ? focused.output : null });
  keep();
});
addEventListener("hashchange", () => { if (asked()) openLarge(asked()); });

head();
facts();
draw();
restore();
if (data.live) {
  for (const kind of ["pointerdown", "pointermove", "keydown", "wheel"]) addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
  setTimeout(again, EVERY);
}
