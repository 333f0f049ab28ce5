// Data and words that all parts use. Text reaches the document as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);

// {a: [1, 2], b: [3, 4]} -> [{a: 1, b: 3}, {a: 2, b: 4}]
function rowsOf(columns) {
  const names = Object.keys(columns ?? {});
  return names.length === 0 ? [] : columns[names[0]].map((_, n) =>
    Object.fromEntries(names.map((name) => [name, columns[name][n]])));
}

const runs = rowsOf(data.runs);
const runById = new Map(runs.map((run) => [run.run_id, run]));
const arms = rowsOf(data.arms).map((arm, id) => ({ ...arm, id }));

function el(tag, properties = {}, ...children) {
  const { class: names, data: dataset, ...rest } = properties;
  const element = Object.assign(document.createElement(tag), rest);
  if (names) element.className = names;
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// For plotly and DataTables, which read strings as markup.
const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const known = (value) => value !== null && value !== undefined && value !== "";
const lookOf = (method) => data.looks[method];
const methodWords = (method) => lookOf(method)?.words ?? method;

// Significant digits, never in powers of ten, as in all tables: 0.002319, 28230, –
function digits(value, num = 4) {
  if (!known(value)) return "–";
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(num));
  const decimals = num - 1 - Math.floor(Math.log10(Math.abs(rounded)));
  return rounded.toFixed(Math.min(Math.max(0, decimals), 20));
}

function spread(mean, std, decimals = 2) {
  if (!known(mean)) return "–";
  return mean.toFixed(decimals) + (known(std) ? ` ± ${std.toFixed(decimals)}` : "");
}

const flops = (pflops) => (known(pflops) ? data.factor * pflops : null);
const flopsWords = (pflops, isBound = false) =>
  (isBound && known(pflops) ? "≥ " : "") + digits(flops(pflops));

function duration(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 120) return `${digits(seconds, 3)} s`;
  return seconds < 7200 ? `${digits(seconds / 60, 3)} min` : `${digits(seconds / 3600, 3)} h`;
}

// Of these plots that of most methods: where a reader begins.
const numMethods = (panel) => new Set(arms.filter((arm) => arm.panel === panel).map((arm) => arm.method)).size;
const fullest = (panels) => panels.reduce((best, n) => (numMethods(n) > numMethods(best) ? n : best));

// A drop-down list with its label; calls back with the chosen value. At first it is `chosen`.
function choice(words, options, change, chosen = options[0]?.[0]) {
  const select = el("select", {}, ...options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  select.addEventListener("change", () => change(select.value));
  return el("label", { class: "field", hidden: options.length < 2 }, el("span", {}, words), select);
}

let numGroups = 0;
function radios(words, options, change) {
  const name = `choice-${(numGroups += 1)}`;
  const labels = options.map(([value, text], n) => {
    const input = el("input", { type: "radio", name, value, checked: n === 0 });
    input.addEventListener("change", () => change(value));
    return el("label", {}, input, text);
  });
  return el("fieldset", { hidden: options.length < 2 }, el("legend", {}, words),
    el("div", { class: "choices" }, ...labels));
}

function checkbox(words, checked, change) {
  const input = el("input", { type: "checkbox", checked });
  input.addEventListener("change", () => change(input.checked));
  return el("label", {}, input, words);
}

const swatch = (method) => {
  const mark = el("span", { class: "swatch", ariaHidden: "true" }, lookOf(method).glyph);
  mark.style.color = lookOf(method).colour;
  return mark;
};
