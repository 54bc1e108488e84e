// --- which, and in which order ----------------------------------------------------------------------------------------

let shown = [];  // in the order in which they stand on the page

function chosen() {
  const terms = state.find.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = axes.filter((axis) => state.axes[axis.name] && !(state.view === "grid" && axis.name === state.across));
  const found = pictures.filter((picture) => !state.hidden.includes(picture.state)
    && terms.every((term) => picture.haystack.includes(term))
    && wanted.every((axis) => value(picture, axis.name) === state.axes[axis.name]));
  return found.sort(compare(SORTS[state.sort][1]));
}
function compare(measure) {
  if (!measure) {
    const order = new Intl.Collator(undefined, { numeric: true }).compare;
    return (a, b) => order(a.contentName, b.contentName) || order(a.styleName, b.styleName) || a.place - b.place;
  }
  const of = (picture) => { const found = measure(picture); return found === null || found === undefined ? Infinity : found; };
  return (a, b) => { const [x, y] = [of(a), of(b)]; return x === y ? a.place - b.place : x - y; };
}

// --- the page ---------------------------------------------------------------------------------------------------------

function draw() {
  main.textContent = "";
  near.disconnect();
  const found = chosen();
  shown = state.view !== "grid" ? drawList(found) : sparse ? drawGroups(found) : drawGrid(found);
  keep();
  main.hidden = !found.length;
  $("nothing").hidden = found.length > 0;
  const all = `${pictures.length.toLocaleString()}${data.sample ? " in the sample" : ""}`;
  $("count").textContent = found.length < pictures.length ? `${found.length.toLocaleString()} of ${all}` : "";
  $("as-grid").setAttribute("aria-pressed", state.view === "grid");
  $("as-list").setAttribute("aria-pressed", state.view === "list");
  $("across-label").hidden = state.view !== "grid" || !(sparse || axes.length);
  document.documentElement.style.setProperty("--cell", `${state.zoom}px`);
  for (const label of document.querySelectorAll("#axes label")) {
    label.hidden = state.view === "grid" && label.dataset.axis === state.across;
  }
  for (const button of document.querySelectorAll("#states button")) {
    button.setAttribute("aria-pressed", !state.hidden.includes(button.dataset.state));
  }
  const first = main.querySelector(".pic");
  if (first) first.tabIndex = 0;
}

function measured(picture) {
  const said = SORTS[state.sort][2], of = SORTS[state.sort][1];
  return said && of(picture) ? said(picture) : "";
}

function drawList(found) {
  const [oneContent, oneStyle] = [data.contents.length === 1, data.styles.length === 1];
  const title = (picture) => (oneContent && !oneStyle ? el("b", { text: picture.styleName })
    : [el("b", { text: picture.contentName }), !oneStyle && [" ", el("i", { text: `× ${picture.styleName}` })]]);
  main.append(el("div", { class: "list" }, found.map((picture) => tile(picture, [
    el("span", { class: "title" }, title(picture)),
    el("span", { text: [picture.points, measured(picture)].filter(Boolean).join(" · ") }),
  ]))));
  return found;
}

// Pictures that have something in common, each time behind what that is.
function drawGroups(found) {
  const by = state.across;
  const keyOf = (picture) => (by === "style" ? picture.style : by === "content" ? picture.content : value(picture, by));
  const groups = new Map();
  for (const picture of found) {
    if (!groups.has(keyOf(picture))) groups.set(keyOf(picture), []);
    groups.get(keyOf(picture)).push(picture);
  }
  const named = (key) => (by === "style" ? data.styles[key].name : by === "content" ? data.contents[key].name : `${by} ${word(JSON.parse(key || "null"))}`);
  const order = new Intl.Collator(undefined, { numeric: true }).compare;
  const keys = [...groups.keys()];
  if (state.sort === "plan") keys.sort((a, b) => order(named(a), named(b)));
  const head = (key) => {
    const item = by === "style" ? data.styles[key] : by === "content" ? data.contents[key] : null;
    return el("div", { class: item ? "what" : "what alone", title: item ? item.paths.join("\n") : named(key) }, item && el("span", { class: "frame" }, small(item, "")),
      el("span", { class: "caption" }, el("b", { class: "name", text: named(key) }), el("span", { text: many(groups.get(key).length, "picture") })));
  };
  const told = (picture) => [by !== "content" && el("b", { text: picture.contentName }), by !== "content" && by !== "style" && " × ",
    by !== "style" && el("i", { text: picture.styleName })];
  main.append(el("div", { class: "groups" }, keys.map((key) => el("section", { class: "group", "aria-label": named(key) }, head(key),
    groups.get(key).map((picture) => tile(picture, [el("span", { class: "title" }, told(picture)),
      el("span", { text: [picture.points, measured(picture)].filter(Boolean).join(" · ") })]))))));
  return keys.flatMap((key) => groups.get(key));
}

const source = (item, ...more) =>
  el("span", { class: "source", title: item.paths.join("\n") }, el("span", { class: "thumb" }, small(item, "")), more, name(item.name));

function drawGrid(found) {
  const byStyle = state.across === "style";
  const columnOf = (picture) => (byStyle ? String(picture.style) : value(picture, state.across));
  const rowOf = (picture) => (byStyle ? String(picture.content) : `${picture.content} ${picture.style}`);
  const rows = new Map(), columns = new Map();
  for (const picture of found) {
    const row = rowOf(picture), column = columnOf(picture);
    if (!rows.has(row)) rows.set(row, new Map());
    if (!rows.get(row).has(column)) rows.get(row).set(column, []);
    rows.get(row).get(column).push(picture);
    columns.set(column, picture);
  }
  const order = byStyle ? (key) => columns.get(key).style
    : (key) => axes.find((axis) => axis.name === state.across).values.findIndex((each) => JSON.stringify(each) === key);
  const ordered = [...columns.keys()].sort((a, b) => order(a) - order(b));
  const open = axes.filter((axis) => !state.axes[axis.name] && axis.name !== state.across);
  const head = (key) => (byStyle ? source(data.styles[columns.get(key).style])
    : el("span", { class: "source" }, el("span", { class: "name", text: `${state.across} ${word(JSON.parse(key || "null"))}` })));
  const inOrder = [];
  const cell = (there) => {
    inOrder.push(...there);
    const caption = (picture) => [
      there.length > 1 && el("span", { text: open.map((axis) => `${axis.name} ${word((picture.point || {})[axis.name])}`).join(", ") }),
      measured(picture) && el("span", { text: measured(picture) }),
    ].filter(Boolean);
    const tiles = there.map((picture) => { const said = caption(picture); return tile(picture, said.length > 0 && said); });
    const abreast = there.length > 4 ? Math.ceil(Math.sqrt(there.length)) : Math.min(there.length, 2);
    return el("td", null, el("div", { class: there.length > 1 ? "cell many" : "cell", "--abreast": Math.max(1, abreast) }, tiles));
  };
  const body = [...rows.values()].map((cells) => {
    const first = cells.values().next().value[0], style = data.styles[first.style];
    const from = byStyle ? source(data.contents[first.content])
      : source(data.contents[first.content], el("span", { class: "thumb" }, small(style, "")));
    if (!byStyle) from.append(name(`× ${style.name}`));
    return el("tr", null, el("th", { scope: "row" }, from), ordered.map((column) => cell(cells.get(column) || [])));
  });
  if (found.length) {
    main.append(el("table", null, el("thead", null, el("tr", null, el("td"), ordered.map((key) => el("th", { scope: "col" }, head(key))))),
      el("tbody", null, body)));
  }
  return inOrder;
}
