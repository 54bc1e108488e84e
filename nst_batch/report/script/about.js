// --- what is known of a picture ---------------------------------------------------------------------------------------

function list(entries) {
  return el("dl", null, entries.filter(([, item]) => item !== undefined && item !== null && item !== "").map(([key, item, changed]) =>
    [el("dt", { text: key }), el("dd", { class: changed && "changed" }, item instanceof Node ? item : String(item))]));
}
const section = (title, ...children) => [el("h3", { text: title }), children];
const link = (item, text) => (item.href ? el("a", { href: item.href }, name(text)) : name(text));

function drawAbout() {
  const picture = current;
  $("about").replaceChildren(...[failure(picture), variants(picture), losses(picture), curves(picture), rendering(picture),
    files(picture), settings(picture)].flat(Infinity).filter(Boolean));
  $("about").scrollTop = 0;
}

function failure({ error }) {
  return error && section("Failed", el("div", { class: "reason" }, error.message || error.type, error.hint && el("small", { text: error.hint }),
    error.alike > 1 && el("small", { text: `${many(error.alike, "task")} of the run failed like this.` })));
}

function variants(picture) {  // others of the same pair
  const all = pictures.filter((other) => other.content === picture.content && other.style === picture.style);
  if (!picture.point) return null;
  if (all.length < 2) return section("Of its own", list(Object.entries(picture.point).map(([key, item]) => [key, word(item)])));
  return section("Variants", el("div", { class: "variants" }, all.slice(0, 24).map((other) => {
    const shot = other.state === "done" && data.thumbnails[other.thumbnail];
    return el("button", { "aria-current": other === picture && "true", "--ratio": ratioOf(other), onclick: () => openLarge(other), title: other.points },
      shot ? el("img", { src: shot, alt: "" }) : el("span", { class: `hollow ${other.state}` }, el("span", { text: WORDS[other.state] || "no preview" })),
      el("span", { text: Object.entries(other.point || {}).map(([key, item]) => `${key} ${word(item)}`).join("\n") }));
  })));
}

function losses({ losses: loss, balance }) {
  return loss && section("Loss", list([["total", number(loss.total)], ["content", number(loss.content)], ["style", number(loss.style)],
    ["variation", loss.tv ? number(loss.tv) : null],
    ["style left", balance && `${Number((balance.remaining * 100).toPrecision(2))} % of the content’s own`]]));
}

function rendering(picture) {
  const scales = (picture.scales || []).map(([width, height, count]) => `${count} at ${width} × ${height}`).join(", ");
  const entries = [
    ["size", picture.width && `${picture.width} × ${picture.height}, ${bytes(picture.bytes)}`],
    ["evaluations", picture.scales && picture.scales.length > 1 ? `${picture.evaluations}: ${scales}` : picture.evaluations],
    ["time", picture.seconds && clock(picture.seconds) + (picture.together > 1 ? `, with ${picture.together - 1} more at once` : "")],
    ["memory", picture.peak_memory_bytes && bytes(picture.peak_memory_bytes)],
    ["device", picture.device && `${picture.device} on ${picture.host}`], ["precision", picture.precision],
    ["attempt", picture.attempt > 1 ? picture.attempt : null], ["given up", (picture.given_up || []).join("; ")],
    ["finished", picture.finished && moment(picture.finished)], ["note", (picture.notes || []).join("; ")],
  ];
  return entries.some(([, item]) => item) && section("Rendering", list(entries));
}

function files(picture) {
  const content = data.contents[picture.content], style = data.styles[picture.style];
  return section("Files", list([["result", picture.state === "done" ? link(picture, picture.output) : name(picture.output)],
    ["content", link(content, content.paths[0])],
    ...style.paths.map((path, place) => ["style", place ? name(path) : link(style, path)])]));
}

function settings(picture) {
  if (!picture.settings) return null;
  const all = { ...data.settings, ...picture.settings };
  const entries = Object.keys(data.defaults).filter((key) => key in all)
    .map((key) => [key, word(all[key]), JSON.stringify(all[key]) !== JSON.stringify(data.defaults[key])]);
  const changed = entries.filter(([, , differs]) => differs);
  return section("Settings", changed.length ? list(changed.map(([key, item]) => [key, item])) : el("p", { text: "The defaults." }),
    el("details", null, el("summary", { text: `all ${entries.length}` }), list(entries)));
}
