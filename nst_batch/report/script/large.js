// --- large ------------------------------------------------------------------------------------------------------------

const dialog = $("large");
let current = null;

function openLarge(picture) {
  current = picture;
  const place = shown.indexOf(picture);
  $("large-name").replaceChildren(name(picture.contentName), " × ", name(picture.styleName),
    ...(picture.points ? [el("span", { class: "points", text: picture.points })] : []));
  $("large-place").textContent = place < 0 ? "" : `${place + 1} of ${shown.length}`;
  $("previous").disabled = place <= 0;
  $("next").disabled = place < 0 || place >= shown.length - 1;
  drawLook();
  drawAbout();
  if (!dialog.open) { dialog.showModal(); dialog.focus(); }
  history.replaceState(null, "", `#${encodeURIComponent(picture.output)}`);
}
function step(by) {
  const to = shown[shown.indexOf(current) + by];
  if (to) openLarge(to);
}
dialog.addEventListener("close", () => {
  history.replaceState(null, "", location.pathname + location.search);
  const button = main.querySelector(`.pic[data-place="${current.place}"]`);
  if (button) focusOn(button);
});

function drawLook() {
  const picture = current, look = $("look");
  const content = data.contents[picture.content], style = data.styles[picture.style];
  const done = picture.state === "done";
  const kind = done ? (state.look === "compare" && !data.thumbnails[content.thumbnail] ? "result" : state.look) : "three";
  for (const button of dialog.querySelectorAll("[data-look]")) {
    button.setAttribute("aria-pressed", button.dataset.look === kind);
    button.disabled = !done;
  }
  look.className = kind;
  if (kind === "three") {
    const result = done ? large(picture, picture.output) : frame(picture);
    look.replaceChildren(figure("content", large(content, content.name), ["Content: ", name(content.name)]),
      figure("style", large(style, style.name), ["Style: ", name(style.name)]),
      figure("result", result, done && "Result", ratioOf(picture)));
  } else if (kind === "result") {
    const whole = figure("result", large(picture, picture.output), null, ratioOf(picture));
    whole.addEventListener("click", toggleWhole);
    look.replaceChildren(whole);
  } else {
    look.replaceChildren(figure("both", slider(picture, content), null, ratioOf(picture)));
  }
  const most = `${4 * (picture.width || 400)}px`;  // beyond, one sees pixels, not strokes
  look.style.setProperty("--most", most);
}

// A picture as large as its place allows. Its shape is known of results; those of inputs are told by their own pixels.
function figure(kind, inside, caption, ratio) {
  const box = el("div", { class: "box", "--ratio": ratio, "--under": caption && "1.9rem" }, inside, caption && el("figcaption", null, caption));
  if (!ratio) inside.addEventListener("load", () => box.style.setProperty("--ratio", inside.naturalWidth / inside.naturalHeight));
  return el("figure", { class: kind }, box);
}

function slider(picture, content) {
  const box = el("div", { class: "slider" }, large(picture, "result"), large(content, "content", "over"), el("i"),
    el("span", { class: "tag", text: "Content" }), el("span", { class: "tag", text: "Result" }));
  const input = el("input", { type: "range", min: "0", max: "100", step: "0.5", "aria-label": "From content to result" });
  const moved = () => { state.slide = Number(input.value); box.style.setProperty("--x", `${input.value}%`); };
  input.value = state.slide;
  moved();
  input.addEventListener("input", moved);
  input.addEventListener("pointerup", () => { keep(); dialog.focus(); });  // so that arrows go on to the next picture
  box.append(input);
  return box;
}
function slide(by) {
  const input = $("look").querySelector("input");
  if (!input) return;
  input.value = Number(input.value) + by;
  input.dispatchEvent(new Event("input"));
}
function look(kind) {
  if (current.state !== "done") return;
  state.look = kind;
  keep();
  drawLook();
}
function toggleWhole() {
  if (current.state !== "done") return;
  if (state.look !== "result") look("result");
  $("look").classList.toggle("whole");
}
