// --- what there is ----------------------------------------------------------------------------------------------------

const data = JSON.parse($("data").textContent);
const main = $("main");
const narrow = matchMedia("(max-width: 700px)");
const axes = data.axes;

const pictures = data.pictures.map((picture, place) => {
  const content = data.contents[picture.content], style = data.styles[picture.style];
  const points = Object.entries(picture.point || {}).map(([key, value]) => `${key} ${word(value)}`).join(", ");
  const error = picture.error ? `${picture.error.type} ${picture.error.message} ${picture.error.hint}` : "";
  const haystack = [picture.output, content.name, style.name, points, error].join(" ").toLowerCase();
  const label = `${content.name} × ${style.name}`;
  return { ...picture, place, label, contentName: content.name, styleName: style.name, points, haystack };
});
const value = (picture, axis) => JSON.stringify((picture.point || {})[axis]);

// What is not rendered yet takes the room that it will take: that of others of its content.
const ratios = new Map();
for (const picture of pictures) if (picture.width && picture.height) ratios.set(picture.content, picture.width / picture.height);
const ratioOf = (picture) => (picture.width && picture.height ? picture.width / picture.height : ratios.get(picture.content) || 4 / 3);

const SORTS = {  // by key: what people read, what is compared, and what is said of each picture then
  plan: ["as planned", (p) => p.place],
  name: ["by name", null],
  least: ["lowest loss", (p) => p.losses && p.losses.total, (p) => `loss ${number(p.losses.total)}`],
  most: ["highest loss", (p) => p.losses && -p.losses.total, (p) => `loss ${number(p.losses.total)}`],
  slow: ["slowest", (p) => p.seconds && -p.seconds, (p) => clock(p.seconds)],
  late: ["latest", (p) => p.finished && -Date.parse(p.finished), (p) => moment(p.finished)],
};
const LOOKS = ["compare", "three", "result"];

// --- how it is looked at: kept while the page is open in this tab, also when it loads itself again --------------------

const state = {
  view: null, sort: "plan", across: "style", zoom: null, find: "", hidden: [], axes: {}, look: "compare", slide: 50,
  theme: null, lines: ["total", "content", "style"], layers: false, scroll: [0, 0], about: 0, focus: null,
};
const memory = `nst_batch:${data.name}:${location.pathname}`;
function keep() {
  try { sessionStorage.setItem(memory, JSON.stringify(state)); } catch { /* a browser that keeps nothing */ }
}
try { Object.assign(state, JSON.parse(sessionStorage.getItem(memory) || "{}")); } catch { /* likewise */ }
if (!SORTS[state.sort]) state.sort = "plan";
if (!LOOKS.includes(state.look)) state.look = "compare";
// A grid of thousands of contents by hundreds of styles, of which each content has one, would be nothing but holes: where
// cells are so many and so empty, pictures of one style stand together instead.
const holes = data.contents.length * data.styles.length;
const cells = new Set(pictures.map((picture) => `${picture.content} ${picture.style}`)).size;
const sparse = holes >= 400 && cells < 0.25 * holes;
const few = (axis) => axis.values.length <= 50;  // values, so that one can choose among them

const pointsOfAPair = new Set(pictures.map((picture) => picture.points)).size;
if (!["style", sparse ? "content" : "style", ...axes.filter(few).map((axis) => axis.name)].includes(state.across)) state.across = "style";
for (const axis of axes) {  // a few variants of a pair fit into one cell, more do not
  const known = axis.values.map((each) => JSON.stringify(each));
  if (["", ...known].includes(state.axes[axis.name])) continue;
  state.axes[axis.name] = pointsOfAPair <= 4 || sparse || !few(axis) ? "" : known[0];
}
if (!state.view) {  // a grid is for what is one: several contents by several styles, most of them there
  const dense = cells >= 0.4 * holes;
  state.view = dense && data.contents.length > 1 && data.styles.length > 1 && !narrow.matches ? "grid" : "list";
}
if (!state.zoom) {  // as large as lets all columns be seen
  const columns = Math.max(2, data.styles.length) * (pointsOfAPair > 1 && pointsOfAPair <= 4 ? 2 : 1);
  const room = (innerWidth - 180) / columns - 12;
  state.zoom = narrow.matches ? 150 : state.view === "list" ? (pictures.length < 7 ? 320 : 200) : Math.round(Math.min(300, Math.max(132, room)) / 4) * 4;
}
