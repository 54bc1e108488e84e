"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const main = $("main");
  const narrow = matchMedia("(max-width: 700px)");

  // --- elements: everything that comes from the data is set as text or as an attribute, never as markup -------------

  function put(node, properties, children) {
    for (const [key, value] of Object.entries(properties || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (key === "text") node.textContent = value;
      else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (key.startsWith("--")) node.style.setProperty(key, value);
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  }
  const el = (name, properties, ...children) => put(document.createElement(name), properties, children);
  const svg = (name, properties, ...children) =>
    put(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);

  // --- words ---------------------------------------------------------------------------------------------------------

  function word(value) {
    if (value === null || value === undefined) return "none";
    if (value === true || value === false) return value ? "on" : "off";
    if (Array.isArray(value)) return value.length ? value.map(word).join(", ") : "none";
    if (typeof value === "object") return Object.entries(value).map(([key, item]) => `${key} ${word(item)}`).join(", ");
    return typeof value === "number" ? number(value) : String(value);
  }
  function number(value) {
    if (Number.isInteger(value) && Math.abs(value) < 1e5) return String(value);
    const size = Math.abs(value);
    return size >= 1e5 || (size && size < 1e-3) ? value.toExponential(3).replace(/\.?0+e/, "e").replace("e+", "e")
      : String(Number(value.toPrecision(4)));
  }
  function clock(seconds) {
    if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
    const minutes = Math.floor(Math.round(seconds) / 60), rest = Math.round(seconds) % 60;
    const two = (value) => String(value).padStart(2, "0");
    return minutes < 60 ? `${minutes}:${two(rest)} min` : `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
  }
  function bytes(value) {
    for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (value >= size) return `${(value / size).toPrecision(3)} ${unit}`;
    }
    return `${value} bytes`;
  }
  const many = (count, what) => `${count.toLocaleString()} ${what}${count === 1 ? "" : "s"}`;

  // --- what there is -------------------------------------------------------------------------------------------------

  const pictures = data.pictures.map((picture, place) => {
    const content = data.contents[picture.content], style = data.styles[picture.style];
    const point = Object.entries(picture.point || {});
    const points = point.map(([key, value]) => `${key} ${word(value)}`).join(", ");
    const error = picture.error ? `${picture.error.type} ${picture.error.message} ${picture.error.hint}` : "";
    const haystack = [picture.output, content.name, style.name, points, error].join(" ").toLowerCase();
    return { ...picture, place, contentName: content.name, styleName: style.name, points, haystack };
  });
  const axes = data.axes;
  const value = (picture, axis) => JSON.stringify((picture.point || {})[axis]);
  const pointsOfAPair = new Set(pictures.map((picture) => picture.points)).size;

  const SORTS = {
    plan: ["as planned", (p) => p.place],
    name: ["name", null],
    least: ["lowest loss", (p) => p.losses && p.losses.total],
    most: ["highest loss", (p) => p.losses && -p.losses.total],
    slow: ["slowest", (p) => p.seconds && -p.seconds],
    late: ["latest", (p) => p.finished && -Date.parse(p.finished)],
  };

  const state = {
    view: null, sort: "plan", across: "style", zoom: narrow.matches ? 160 : 168, find: "",
    hidden: [], axes: {}, look: "compare", theme: null, lines: ["total", "content", "style"],
  };
  const memory = `nst_batch:${data.name}:${location.pathname}`;
  try { Object.assign(state, JSON.parse(sessionStorage.getItem(memory) || "{}")); } catch { /* a browser that keeps nothing */ }
  function keep() {
    try { sessionStorage.setItem(memory, JSON.stringify(state)); } catch { /* likewise */ }
  }
  if (!SORTS[state.sort]) state.sort = "plan";
  if (state.across !== "style" && !axes.some((axis) => axis.name === state.across)) state.across = "style";
  for (const axis of axes) {  // a few variants of a pair fit into one cell, more do not
    if (!(axis.name in state.axes)) state.axes[axis.name] = pointsOfAPair <= 4 ? "" : JSON.stringify(axis.values[0]);
  }
  if (!state.view) {
    const cells = new Set(pictures.map((picture) => `${picture.content} ${picture.style}`)).size;
    const dense = cells >= 0.4 * data.contents.length * data.styles.length;
    state.view = dense && pictures.length > 1 && !narrow.matches ? "grid" : "list";
  }

  // --- small pictures, once they come near ---------------------------------------------------------------------------

  const near = new IntersectionObserver((seen) => {
    for (const { target, isIntersecting } of seen) {
      if (!isIntersecting) continue;
      target.src = data.thumbnails[target.dataset.small];
      near.unobserve(target);
    }
  }, { root: main, rootMargin: "600px" });

  function small(item, alt, ratio) {
    const link = item.thumbnail === undefined ? null : data.thumbnails[item.thumbnail];
    if (!link) return el("span", { class: "hollow" }, el("span", { text: "not to be shown" }));
    const image = el("img", { alt, "data-small": item.thumbnail, decoding: "async" });
    if (ratio) image.style.aspectRatio = ratio;
    near.observe(image);
    return image;
  }
  function large(item, alt, className) {
    const image = el("img", { alt, class: className, draggable: "false" });
    const link = data.thumbnails[item.thumbnail];
    if (link) image.src = link;
    if (item.href && link && !/\.tiff?$/i.test(item.href)) {  // browsers cannot show TIFF
      const whole = new Image();
      whole.onload = () => { image.src = whole.src; };
      whole.src = item.href;
    }
    return image;
  }
  const ratioOf = (picture) => (picture.width && picture.height ? `${picture.width} / ${picture.height}` : null);

  const WORDS = { failed: "failed", todo: "not rendered yet" };
  function frame(picture) {
    if (picture.state === "done") return small(picture, `${picture.contentName} in the style of ${picture.styleName}`, ratioOf(picture));
    const reason = picture.error ? picture.error.message : "";
    return el("span", { class: `hollow ${picture.state}` }, el("span", { text: reason || WORDS[picture.state] }));
  }
  function tile(picture, caption) {
    const label = `${picture.contentName} × ${picture.styleName}${picture.points ? `, ${picture.points}` : ""}`;
    return el("button", {
      class: "pic", "data-place": picture.place, "aria-label": `${label}: ${WORDS[picture.state] || "done"}`, title: label,
      onclick: () => openLarge(picture),
    }, el("span", { class: "frame" }, frame(picture)), caption && el("span", { class: "caption" }, caption));
  }

  // --- which, and in which order -------------------------------------------------------------------------------------

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

  // --- the page ------------------------------------------------------------------------------------------------------

  function draw() {
    keep();
    main.textContent = "";
    near.disconnect();
    const found = chosen();
    shown = state.view === "grid" ? drawGrid(found) : drawList(found);
    $("nothing").hidden = found.length > 0;
    $("as-grid").setAttribute("aria-pressed", state.view === "grid");
    $("as-list").setAttribute("aria-pressed", state.view === "list");
    $("across-label").hidden = state.view !== "grid" || !axes.length;
    document.documentElement.style.setProperty("--cell", `${state.zoom}px`);
    for (const select of document.querySelectorAll("#axes label")) {
      select.hidden = state.view === "grid" && select.dataset.axis === state.across;
    }
    for (const button of document.querySelectorAll("#states button")) {
      button.setAttribute("aria-pressed", !state.hidden.includes(button.dataset.state));
    }
  }

  function drawList(found) {
    main.append(el("div", { class: "list" }, found.map((picture) => tile(picture, [
      el("b", { text: picture.contentName }), ` × ${picture.styleName}`, picture.points && el("br"), picture.points,
    ]))));
    return found;
  }

  function source(item) {
    return el("span", { class: "source", title: item.paths.join("\n") }, small(item, ""), el("span", { class: "name", text: item.name }));
  }

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
    const body = [...rows.values()].map((cells) => {
      const first = cells.values().next().value[0];
      const name = source(data.contents[first.content]);
      if (!byStyle) name.append(el("span", { class: "name", text: `× ${first.styleName}` }));
      return el("tr", null, el("th", { scope: "row" }, name), ordered.map((column) => {
        const there = cells.get(column) || [];
        inOrder.push(...there);
        return el("td", null, el("div", { class: there.length > 1 ? "cell many" : "cell" }, there.map((picture) =>
          tile(picture, there.length > 1 && open.map((axis) => `${axis.name} ${word((picture.point || {})[axis.name])}`).join(", ")))));
      }));
    });
    if (found.length) {
      main.append(el("table", null, el("thead", null, el("tr", null, el("th"), ordered.map((key) => el("th", { scope: "col" }, head(key))))),
        el("tbody", null, body)));
    }
    return inOrder;
  }

  // --- large ---------------------------------------------------------------------------------------------------------

  const dialog = $("large");
  let current = null;

  function openLarge(picture) {
    current = picture;
    const place = shown.indexOf(picture);
    $("large-name").textContent = `${picture.contentName} × ${picture.styleName}${picture.points ? ` · ${picture.points}` : ""}`;
    $("large-place").textContent = place < 0 ? "" : `${place + 1} of ${shown.length}`;
    $("previous").disabled = place <= 0;
    $("next").disabled = place < 0 || place >= shown.length - 1;
    drawLook();
    drawAbout();
    if (!dialog.open) dialog.showModal();
    history.replaceState(null, "", `#${encodeURIComponent(picture.output)}`);
  }
  function step(by) {
    const to = shown[shown.indexOf(current) + by];
    if (to) openLarge(to);
  }
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    const button = main.querySelector(`.pic[data-place="${current.place}"]`);
    if (button) button.focus();
  });

  const figure = (kind, image, caption) => el("figure", { class: kind }, image, el("figcaption", { text: caption }));

  function drawLook() {
    const picture = current, look = $("look");
    const content = data.contents[picture.content], style = data.styles[picture.style];
    const done = picture.state === "done";
    for (const button of dialog.querySelectorAll("[data-look]")) {
      button.setAttribute("aria-pressed", button.dataset.look === state.look);
      button.disabled = !done;
    }
    look.className = "";
    look.textContent = "";
    if (!done || state.look === "three") {
      look.className = "three";
      const result = done ? large(picture, picture.output) : frame(picture);
      look.append(figure("content", large(content, content.name), `Content: ${content.name}`),
        figure("result", result, done ? "Result" : WORDS[picture.state]), figure("style", large(style, style.name), `Style: ${style.name}`));
    } else if (state.look === "result" || !data.thumbnails[content.thumbnail]) {
      look.append(large(picture, picture.output, "result-alone"));
    } else {
      look.append(slider(picture, content));
    }
  }

  function slider(picture, content) {
    const box = el("div", { class: "slider" }, large(picture, "result"), large(content, "content", "over"), el("i"),
      el("span", { class: "tag", text: "Content" }), el("span", { class: "tag", text: "Result" }));
    const input = el("input", { type: "range", min: "0", max: "100", step: "0.5", value: "50", "aria-label": "From content to result" });
    input.addEventListener("input", () => box.style.setProperty("--x", `${input.value}%`));
    box.append(input);
    const ratio = picture.width / picture.height || 4 / 3;
    box.style.aspectRatio = String(ratio);
    box.style.width = narrow.matches ? "100%" : `min(100%, calc((100vh - 7rem) * ${ratio}))`;
    return box;
  }
  function slide(by) {
    const input = $("look").querySelector("input");
    if (!input) return;
    input.value = Number(input.value) + by;
    input.dispatchEvent(new Event("input"));
  }

  function list(entries) {
    return el("dl", null, entries.filter(([, item]) => item !== undefined && item !== null && item !== "").map(([key, item, changed]) =>
      [el("dt", { text: key }), el("dd", { class: changed && "changed" }, item instanceof Node ? item : String(item))]));
  }
  const section = (title, ...children) => [el("h3", { text: title }), ...children];
  const link = (item, name) => (item.href ? el("a", { href: item.href, text: name }) : name);

  function drawAbout() {
    const picture = current, about = $("about");
    const content = data.contents[picture.content], style = data.styles[picture.style];
    about.textContent = "";
    about.scrollTop = 0;
    if (picture.error) {
      about.append(...section("Failed", el("div", { class: "reason" }, picture.error.message || picture.error.type,
        picture.error.hint && el("small", { text: picture.error.hint }))));
    }
    const losses = picture.losses;
    if (losses) {
      about.append(...section("Loss", list([["total", number(losses.total)], ["content", number(losses.content)],
        ["style", number(losses.style)], ["total variation", losses.tv ? number(losses.tv) : null],
        ["style left", picture.balance && `${(picture.balance.remaining * 100).toPrecision(2)} % of the content's own`]])));
      about.append(...curves(picture));
    }
    if (picture.point) about.append(...section("Differs", list(Object.entries(picture.point).map(([key, item]) => [key, word(item)]))));
    const scales = (picture.scales || []).map(([width, height, count]) => `${width} × ${height}: ${count}`).join(", ");
    about.append(...section("Rendering", list([
      ["size", picture.width && `${picture.width} × ${picture.height}`], ["evaluations", picture.evaluations], ["by scale", scales],
      ["time", picture.seconds && clock(picture.seconds)], ["together", picture.together > 1 ? many(picture.together, "picture") : null],
      ["memory", picture.peak_memory_bytes && bytes(picture.peak_memory_bytes)], ["device", picture.device && `${picture.device} on ${picture.host}`],
      ["precision", picture.precision], ["attempt", picture.attempt > 1 ? picture.attempt : null],
      ["given up", (picture.given_up || []).join("; ")], ["finished", picture.finished && new Date(picture.finished).toLocaleString()],
    ])));
    if (picture.notes) about.append(...section("Notes", picture.notes.map((note) => el("div", { text: note }))));
    about.append(...section("Files", list([["result", picture.state === "done" ? link(picture, picture.output) : picture.output],
      ["content", link(content, content.paths[0])], ...style.paths.map((path, place) => ["style", place ? path : link(style, path)])])));
    if (picture.settings) {
      const all = { ...data.settings, ...picture.settings };
      const entries = Object.keys(data.defaults).filter((key) => key in all)
        .map((key) => [key, word(all[key]), JSON.stringify(all[key]) !== JSON.stringify(data.defaults[key])]);
      about.append(...section("Settings", list(entries.filter(([, , changed]) => changed)),
        el("details", null, el("summary", { text: "all" }), list(entries))));
    }
  }

  // --- curves --------------------------------------------------------------------------------------------------------

  function linesOf(picture) {
    const at = picture.curves ? picture.curves.evaluations : (picture.curve || []).map(([evaluation]) => evaluation);
    const lines = [{ name: "total", color: "var(--total)", values: picture.curves ? picture.curves.total : (picture.curve || []).map(([, loss]) => loss) }];
    const terms = Object.entries((picture.curves || {}).terms || {});
    for (const kind of ["content", "style"]) {
      const parts = terms.filter(([name]) => name.startsWith(`${kind}/`));
      if (!parts.length) continue;
      lines.push({ name: kind, color: `var(--${kind})`, values: at.map((_, place) => parts.reduce((sum, [, values]) => sum + values[place], 0)) });
      parts.forEach(([name, values], place) => lines.push({
        name: name.replace("/", " "), values, thin: true, dash: `${2 + 2 * place} 2`, color: `var(--${kind})`,
      }));
    }
    const tv = terms.find(([name]) => name === "tv");
    if (tv && tv[1].some((loss) => loss > 0)) lines.push({ name: "tv", color: "var(--tv)", values: tv[1] });
    return { at, lines };
  }

  function curves(picture) {
    const { at, lines } = linesOf(picture);
    if (at.length < 2) return [];
    const box = el("div");
    const redraw = () => {
      const on = lines.filter((line) => state.lines.includes(line.name));
      box.replaceChildren(plot(at, on), el("div", { class: "legend" }, lines.map((line) => el("button", {
        "aria-pressed": String(on.includes(line)), text: line.name, "--color": line.color, onclick: () => {
          state.lines = on.includes(line) ? state.lines.filter((name) => name !== line.name) : [...state.lines, line.name];
          keep();
          redraw();
        } }))));
    };
    redraw();
    return section("Loss by evaluation", box);
  }

  function plot(at, lines) {
    const [left, right, top, bottom] = [42, 326, 8, 168];
    const values = lines.flatMap((line) => line.values).filter((loss) => loss > 0);
    const logs = values.length ? [Math.log10(Math.min(...values)), Math.log10(Math.max(...values))] : [0, 1];
    if (logs[1] - logs[0] < 0.3) { logs[0] -= 0.15; logs[1] += 0.15; }
    const last = at[at.length - 1];
    const x = (evaluation) => left + ((right - left) * (evaluation - at[0])) / Math.max(1, last - at[0]);
    const y = (loss) => bottom - ((bottom - top) * (Math.log10(loss) - logs[0])) / (logs[1] - logs[0]);
    const ticks = [];
    for (let power = Math.ceil(logs[0]); power <= logs[1]; power += 1) ticks.push(10 ** power);
    const marks = ticks.length >= 2 ? ticks.filter((_, place) => place % Math.ceil(ticks.length / 5) === 0) : logs.map((log) => 10 ** log);
    return svg("svg", { viewBox: "0 0 330 190", role: "img", "aria-label": "Loss by evaluation, on a logarithmic scale" },
      marks.map((mark) => [svg("line", { class: "rule", x1: left, x2: right, y1: y(mark), y2: y(mark) }),
        svg("text", { x: left - 6, y: y(mark) + 3, "text-anchor": "end", text: number(mark) })]),
      [at[0], Math.round((at[0] + last) / 2), last].map((evaluation, place) =>
        svg("text", { x: x(evaluation), y: bottom + 16, "text-anchor": ["start", "middle", "end"][place], text: evaluation })),
      lines.map((line) => svg("polyline", {
        points: line.values.map((loss, place) => (loss > 0 ? `${x(at[place]).toFixed(1)},${y(loss).toFixed(1)}` : "")).join(" "),
        style: `stroke: ${line.color}`, "stroke-width": line.thin ? 1 : 1.7, "stroke-dasharray": line.dash, "data-line": line.name,
      }, svg("title", { text: line.name }))));
  }

  // --- keys ----------------------------------------------------------------------------------------------------------

  function move(key) {
    const all = [...main.querySelectorAll(".pic")];
    if (!all.length) return;
    const from = all.indexOf(document.activeElement);
    let to = all[0];
    if (from >= 0 && (key === "ArrowLeft" || key === "ArrowRight")) to = all[from + (key === "ArrowLeft" ? -1 : 1)];
    else if (from >= 0) to = beyond(all, all[from], key === "ArrowUp" ? -1 : 1);
    if (!to) return;
    to.focus({ preventScroll: true });
    to.scrollIntoView({ block: "nearest", inline: "nearest" });
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
  function look(kind) {
    state.look = kind;
    keep();
    if (current && current.state === "done") drawLook();
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
  const inLarge = {
    ArrowLeft: () => step(-1), ArrowRight: () => step(1), 1: () => look("compare"), 2: () => look("three"), 3: () => look("result"),
    "[": () => slide(-10), "]": () => slide(10),
  };
  const onPage = {
    "/": () => { $("tools").classList.add("open"); $("search").focus(); }, g: () => view("grid"), l: () => view("list"),
    "?": () => $("keys").showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (typing) {
      if (event.key === "Escape" && !dialog.open) event.target.blur();
      return;
    }
    const action = (dialog.open ? inLarge : $("keys").open ? {} : onPage)[event.key] || (event.key === "t" && theme);
    if (action) action();
    else if (event.key.startsWith("Arrow") && !dialog.open && !$("keys").open) move(event.key);
    else return;
    event.preventDefault();
  });

  // --- the head ------------------------------------------------------------------------------------------------------

  function head() {
    $("name").textContent = data.name;
    const labels = { done: "done", failed: "failed", todo: "to do" };
    for (const [key, label] of Object.entries(labels)) {
      if (!data.counts[key]) continue;
      $("states").append(el("button", { class: key, "data-state": key, title: "Show or hide", text: `${data.counts[key].toLocaleString()} ${label}`, onclick: () => {
        state.hidden = state.hidden.includes(key) ? state.hidden.filter((each) => each !== key) : [...state.hidden, key];
        draw();
      } }));
    }
    for (const axis of axes) {
      const select = el("select", { onchange: () => { state.axes[axis.name] = select.value; draw(); } },
        el("option", { value: "", text: "all" }), axis.values.map((each) => el("option", { value: JSON.stringify(each), text: word(each) })));
      select.value = state.axes[axis.name];
      $("axes").append(el("label", { "data-axis": axis.name }, `${axis.name} `, select));
    }
    for (const [key, [label]] of Object.entries(SORTS)) $("sort").append(el("option", { value: key, text: label }));
    $("sort").value = state.sort;
    $("sort").onchange = () => { state.sort = $("sort").value; draw(); };
    $("across").append(el("option", { value: "style", text: "styles" }), ...axes.map((axis) => el("option", { value: axis.name, text: axis.name })));
    $("across").value = state.across;
    $("across").onchange = () => { state.across = $("across").value; draw(); };
    $("zoom").value = state.zoom;
    $("zoom").oninput = () => { state.zoom = Number($("zoom").value); document.documentElement.style.setProperty("--cell", `${state.zoom}px`); keep(); };
    $("search").value = state.find;
    $("search").oninput = () => { state.find = $("search").value; draw(); };
    $("as-grid").onclick = () => view("grid");
    $("as-list").onclick = () => view("list");
    $("theme").onclick = theme;
    $("help").onclick = () => $("keys").showModal();
    $("more").onclick = () => $("more").setAttribute("aria-expanded", $("tools").classList.toggle("open"));
    $("clear").onclick = () => {
      Object.assign(state, { find: "", hidden: [], axes: Object.fromEntries(axes.map((axis) => [axis.name, ""])) });
      $("search").value = "";
      for (const select of document.querySelectorAll("#axes select")) select.value = "";
      draw();
    };
    $("previous").onclick = () => step(-1);
    $("next").onclick = () => step(1);
    $("close").onclick = () => dialog.close();
    for (const button of dialog.querySelectorAll("[data-look]")) button.onclick = () => look(button.dataset.look);
    if (state.theme) document.documentElement.dataset.theme = state.theme;
    facts();
  }

  function facts() {
    const { size, steps } = data.settings;
    const seconds = pictures.reduce((sum, picture) => sum + (picture.seconds || 0), 0);
    const devices = new Set(pictures.filter((p) => p.state === "done").map((p) => `${p.host} ${p.device}`)).size;
    $("facts").textContent = [
      `${many(data.contents.length, "content")} × ${many(data.styles.length, "style")}`,
      size && steps && `${size} px, ${steps} evaluations`,
      seconds && `${clock(seconds)} on ${many(devices, "device")}`,
      `${data.live ? "the run goes on; as of" : "as of"} ${new Date(data.written).toLocaleString()}`,
    ].filter(Boolean).join("  ·  ");
    const warnings = [];
    if (data.weights.includes("random")) warnings.push("Rendered with the embedded weights, made from a seed: no ImageNet VGG-19 was on the machine.");
    if (data.skipped) warnings.push(`${many(data.skipped, "line")} of the manifest could not be read.`);
    $("warning").textContent = warnings.join(" ");
    $("warning").hidden = !warnings.length;
  }

  function again() {  // while the run goes on, unless somebody is looking closely
    if (document.visibilityState === "visible" && !document.querySelector("dialog[open]") && document.activeElement !== $("search")) location.reload();
    else setTimeout(again, 10_000);
  }

  head();
  draw();
  if (data.live) setTimeout(again, 60_000);
  const named = decodeURIComponent(location.hash.slice(1));
  const asked = named && pictures.find((picture) => picture.output === named);
  if (asked) openLarge(asked);
})();
