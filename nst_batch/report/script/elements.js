// --- elements: everything that comes from the data is set as text or as an attribute, never as markup -----------------

const $ = (id) => document.getElementById(id);

function put(node, properties, children) {
  for (const [key, value] of Object.entries(properties || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) node.style.setProperty(key, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}
const el = (name, properties, ...children) => put(document.createElement(name), properties, children);
const svg = (name, properties, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", name), properties, children);

// --- words ------------------------------------------------------------------------------------------------------------

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
const moment = (text) => new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
const many = (count, what) => `${count.toLocaleString()} ${what}${count === 1 ? "" : "s"}`;

// File names may be broken where people would: after _ - . and blanks.
const name = (text) => el("span", { class: "name", title: text },
  text.split(/(?<=[_\-.+/])(?=[^_\-.+/])/).map((part, place) => [place > 0 && el("wbr"), part]));
