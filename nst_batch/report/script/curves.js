// --- curves: total loss, and each term's where the manifest has them --------------------------------------------------

function linesOf({ curve = [], terms = {} }) {
  const lines = [{ name: "total", color: "var(--total)", values: curve.map(([, loss]) => loss) }];
  for (const kind of ["content", "style"]) {
    const parts = Object.entries(terms).filter(([term]) => term.startsWith(`${kind}/`));
    if (!parts.length) continue;
    const color = `var(--${kind})`;
    lines.push({ name: kind, color, values: curve.map((_, place) => sum(parts.map(([, values]) => values[place]))) });
    if (parts.length < 2) continue;
    parts.forEach(([term, values], place) => lines.push({ name: term.replace("/", " "), layer: true, dash: `${2 + 2 * place} 2`, color, values }));
  }
  if (terms.tv && terms.tv.some((loss) => loss > 0)) lines.push({ name: "tv", color: "var(--tv)", values: terms.tv });
  return lines;
}
function sum(losses) {  // a scale may have no such term
  const there = losses.filter((loss) => typeof loss === "number");
  return there.length ? there.reduce((total, loss) => total + loss) : null;
}
function pathOf(values, x, y) {  // broken where there is no value, or one that a logarithm does not know
  let pen = "M";
  return values.map((loss, place) => {
    if (!(loss > 0)) { pen = "M"; return ""; }
    const point = `${pen}${x(place).toFixed(1)} ${y(loss).toFixed(1)}`;
    pen = "L";
    return point;
  }).join("");
}

function curves(picture) {
  const lines = linesOf(picture), at = (picture.curve || []).map(([evaluation]) => evaluation);
  if (at.length < 2) return null;
  const ends = (picture.scales || []).map(([, , count]) => count).slice(0, -1).reduce((sums, count) => [...sums, (sums.at(-1) || 0) + count], []);
  const box = el("div");
  const redraw = () => {
    const on = lines.filter((line) => state.lines.includes(line.name));
    const toggle = (line) => () => {
      state.lines = on.includes(line) ? state.lines.filter((each) => each !== line.name) : [...state.lines, line.name];
      keep();
      redraw();
    };
    const legend = (some) => el("div", { class: "legend" }, some.map((line) => el("button", {
      "aria-pressed": String(on.includes(line)), text: line.name, "--color": line.color, onclick: toggle(line) })));
    const layers = lines.filter((line) => line.layer);
    const more = el("details", { open: state.layers }, el("summary", { text: "by layer" }), legend(layers));
    more.addEventListener("toggle", () => { state.layers = more.open; keep(); });
    box.replaceChildren(plot(at, on, ends), legend(lines.filter((line) => !line.layer)), ...(layers.length ? [more] : []));
  };
  redraw();
  return section("Loss by evaluation", box);
}

function marksBetween(least, most) {  // 1, 2 and 5 times powers of ten; powers alone where these are many
  const [from, to] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
  const powers = Array.from({ length: to - from + 1 }, (_, place) => 10 ** (from + place));
  const inside = (marks) => marks.filter((mark) => mark >= least * 0.999 && mark <= most * 1.001);
  const fine = inside(powers.flatMap((power) => [power, 2 * power, 5 * power])), coarse = inside(powers);
  if (fine.length <= 5) return fine.length > 1 ? fine : [least, most];
  return coarse.length < 2 ? fine : coarse.filter((_, place) => place % Math.ceil(coarse.length / 5) === 0);
}

function plot(at, lines, ends) {
  const [left, right, top, bottom] = [44, 324, 8, 150];
  const losses = lines.flatMap((line) => line.values).filter((loss) => loss > 0);
  let [least, most] = losses.length ? [Math.min(...losses), Math.max(...losses)] : [1, 10];
  if (most < 1.5 * least) [least, most] = [least / 1.2, most * 1.2];
  const first = at[0], last = at.at(-1);
  const x = (evaluation) => left + ((right - left) * (evaluation - first)) / Math.max(1, last - first);
  const y = (loss) => bottom - ((bottom - top) * Math.log(loss / least)) / Math.log(most / least);
  return svg("svg", { viewBox: "0 0 330 172", role: "img", "aria-label": "Loss by evaluation, on a logarithmic scale" },
    marksBetween(least, most).map((mark) => [svg("line", { class: "rule", x1: left, x2: right, y1: y(mark), y2: y(mark) }),
      svg("text", { x: left - 6, y: y(mark) + 3, "text-anchor": "end", text: number(Number(mark.toPrecision(3))) })]),
    ends.filter((end) => end < last).map((end) => svg("line", { class: "rule scale", x1: x(end), x2: x(end), y1: top, y2: bottom },
      svg("title", { text: "the next scale begins" }))),
    [first, Math.round((first + last) / 2), last].map((evaluation, place) =>
      svg("text", { x: x(evaluation), y: bottom + 15, "text-anchor": ["start", "middle", "end"][place], text: evaluation })),
    lines.map((line) => svg("path", {
      d: pathOf(line.values, (place) => x(at[place]), y), "data-line": line.name, style: `stroke: ${line.color}`,
      "stroke-width": line.layer ? 1 : 1.7, "stroke-dasharray": line.dash,
    }, svg("title", { text: line.name }))));
}
