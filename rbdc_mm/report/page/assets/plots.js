// Accuracy against FLOPs: one function for classification and detection, which differ in settings.
const FONT = { family: "system-ui, 'DejaVu Sans', Arial, sans-serif", size: 12, color: "#1d2327" };
const CONFIG = {
  // named one by one: plotly's own choice has a button that uploads the plot
  responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  toImageButtonOptions: { format: "svg" },
};
const AXIS = { gridcolor: "#ebebeb", zeroline: false, linecolor: "#888", ticks: "outside", ticklen: 4 };
const MARGIN = { l: 62, r: 18, t: 14, b: 52 };
const isNarrow = () => window.innerWidth < 640; // then the legend alone names the marks

const COSTS = {
  classification: [["total_pflops", "(c) total"], ["with_teachers_pflops", "(b) + teachers"], ["own_pflops", "(a) own"], ["total_hours", "hours of (c)"]],
  detection: [["total_pflops", "total, with finetuning"], ["pretraining_pflops", "pretraining alone"], ["total_hours", "hours of both"]],
};
const areKnown = ([name]) => name !== "total_hours" || arms.some((arm) => known(arm.total_hours));
const inUnit = (cost, value) => (cost === "total_hours" ? value : flops(value));

function metricsOf(kind) {
  const all = Object.entries(data.metrics);
  return all.filter(([name]) => (name === "top1") === (kind === "classification"));
}

function hoverOf(arm, metric) {
  const decimals = arm.kind === "detection" ? 1 : 2;
  const lines = [
    `<b>${escaped(arm.label)}</b>`,
    `${escaped(data.metrics[metric])} ${spread(arm[`${metric}_mean`], arm[`${metric}_std`], decimals)} %, n = ${arm.n}`,
    `own (a) ${flopsWords(arm.own_pflops)} ${data.unit}`,
    `+ teachers (b) ${flopsWords(arm.with_teachers_pflops)} ${data.unit}`,
    `total (c) ${flopsWords(arm.total_pflops, arm.total_is_lower_bound)} ${data.unit}`,
  ];
  if (known(arm.pretraining_pflops)) lines.push(`pretraining ${flopsWords(arm.pretraining_pflops)} ${data.unit}`);
  if (known(arm.total_hours)) lines.push(`${digits(arm.total_hours, 3)} hours in all`);
  lines.push(escaped(arm.config || "no config named"));
  return lines.join("<br>");
}

// Explicit ranges, so that labels can be placed in pixels before anything is drawn.
function rangeOf(values, room) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = Math.max((high - low) * room, room);
  return [low - reach, high + reach];
}

// A log axis whose ticks are written out: 20, 1.5, 20,000.
const STEPS = [[0.45, [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9]],
  [0.9, [1, 1.5, 2, 3, 4, 5, 6, 8]], [2.5, [1, 2, 5]], [Infinity, [1]]];

function logAxis(range, title) {
  const [, steps] = STEPS.find(([span]) => range[1] - range[0] < span);
  const decades = [];
  for (let n = Math.floor(range[0]) - 2; n <= Math.ceil(range[1]) + 2; n += 1) decades.push(n);
  const tickvals = decades.flatMap((n) => steps.map((step) => Number((step * 10 ** n).toPrecision(2))));
  const ticktext = tickvals.map((value) => (value >= 10 ? value.toLocaleString("en-US") : digits(value, 2).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")));
  return { ...AXIS, type: "log", range, tickvals, ticktext, title: { text: title } };
}

function drawNothing(div, words) {
  Plotly.react(div, [], { font: FONT, xaxis: { visible: false }, yaxis: { visible: false }, margin: MARGIN,
    annotations: [{ text: escaped(words), showarrow: false }] }, CONFIG);
}

function pointsOf({ panel, metric, cost, hidden }) {
  return arms.filter((arm) => arm.panel === panel && !hidden.has(arm.method) &&
    known(arm[`${metric}_mean`]) && known(arm[cost]))
    .map((arm) => ({
      arm, method: arm.method, label: arm.label, x: inUnit(cost, arm[cost]),
      y: arm[`${metric}_mean`], sd: arm[`${metric}_std`] ?? 0,
      isBound: ["total_pflops", "pretraining_pflops"].includes(cost) && arm.total_is_lower_bound,
      seeds: arm.runs.map((id) => runById.get(id)).filter((run) => known(run[metric]) && run[cost] > 0)
        .map((run) => ({ run, x: inUnit(cost, run[cost]), y: run[metric] })),
    }));
}

function drawCosts(div, kind, state) {
  const all = pointsOf(state);
  const points = all.filter((p) => p.x > 0);
  const free = all.filter((p) => p.x === 0 && !p.isBound); // nothing to pay for: no place on a log axis
  if (points.length === 0) {
    drawNothing(div, "Nothing to show with this choice.");
    return;
  }
  const x = rangeOf(points.map((p) => Math.log10(p.x)), 0.12);
  const y = rangeOf(all.flatMap((p) => [p.y - p.sd, p.y + p.sd,
    ...(state.seeds ? p.seeds.map((s) => s.y) : [])]), 0.1);
  const traces = [];
  const line = points.filter((p) => p.arm.baseline).sort((p, q) => p.x - q.x);
  if (line.length > 1) {
    traces.push({ x: line.map((p) => p.x), y: line.map((p) => p.y), mode: "lines", hoverinfo: "skip",
      line: { color: lookOf(line[0].method).colour, width: 1.5 } });
  }
  const beside = 10 ** (0.011 * (x[1] - x[0]));
  const frame = frameOf(div, x, y, true);
  const taken = () => [...boxesAlong(line.map((p) => frame.at(p.x, p.y))), ...points.flatMap((p) => {
    const marks = [[p.x, p.y + p.sd], [p.x, p.y], [p.x, p.y - p.sd]].map(([u, v]) => frame.at(u, v));
    const seeds = state.seeds && p.arm.n > 1 ? p.seeds.map((s) => boxAround(frame.at(s.x * beside, s.y), 3)) : [];
    return [boxAround(marks[1], 7), ...boxesAlong(marks), ...seeds];
  })];
  for (const method of new Set(points.map((p) => p.method))) {
    const mine = points.filter((p) => p.method === method);
    const { colour, symbol } = lookOf(method);
    const seeds = state.seeds ? mine.filter((p) => p.arm.n > 1).flatMap((p) => p.seeds) : [];
    if (seeds.length > 0) {
      traces.push({ x: seeds.map((s) => s.x * beside), y: seeds.map((s) => s.y), mode: "markers",
        marker: { color: colour, symbol, size: 5, opacity: 0.55 }, customdata: seeds.map((s) => ["run", s.run.run_id]),
        text: seeds.map((s) => `${escaped(methodWords(method))}, seed ${s.run.seed ?? "–"}<br>${s.y.toFixed(2)} %`),
        hovertemplate: "%{text}<extra></extra>" });
    }
    traces.push({ x: mine.map((p) => p.x), y: mine.map((p) => p.y), mode: "markers",
      marker: { color: colour, symbol: mine.map((p) => (p.isBound ? `${symbol}-open` : symbol)), size: 11,
        line: { color: mine.map((p) => (p.isBound ? colour : "white")), width: mine.map((p) => (p.isBound ? 2 : 1)) } },
      error_y: { type: "data", array: mine.map((p) => p.sd), color: colour, thickness: 1.3, width: 4 },
      customdata: mine.map((p) => ["arm", p.arm.id]), text: mine.map((p) => hoverOf(p.arm, state.metric)),
      hovertemplate: "%{text}<extra></extra>" });
  }
  const levels = free.map((p) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: p.y, y1: p.y,
    line: { color: lookOf(p.method).colour, width: 1.3, dash: "dash" } }));
  const names = free.map((p) => ({ xref: "paper", x: 0, xanchor: "left", y: p.y, yanchor: "bottom", showarrow: false,
    text: escaped(`${p.label}: no pretraining`), font: { ...FONT, color: lookOf(p.method).colour } }));
  const costWords = COSTS[kind].find(([name]) => name === state.cost)[1];
  Plotly.react(div, traces, {
    font: FONT, showlegend: false, hovermode: "closest", margin: MARGIN, shapes: levels, paper_bgcolor: "white",
    annotations: [...names, ...labelsFor(points, taken, frame)],
    hoverlabel: { align: "left", bgcolor: "white", bordercolor: "#888", font: FONT },
    xaxis: logAxis(x, state.cost === "total_hours" ? `${costWords}: GPU-hours, core-hours on a CPU` : `training FLOPs, ${costWords} (${data.unit})`),
    yaxis: { ...AXIS, range: y, title: { text: `${data.metrics[state.metric]} (%)` } },
  }, CONFIG);
  div.setAttribute("aria-label", `${data.metrics[state.metric]} against training ${state.cost === "total_hours" ? "hours" : "FLOPs"} of ${points.length} arms`);
}

// Which methods a plot shows; at the same time its legend.
function legend(shown, hidden, draw) {
  const present = new Set(shown.map((arm) => arm.method));
  const boxes = Object.keys(data.looks).filter((method) => present.has(method)).map((method) => {
    const label = checkbox(methodWords(method), true, (isShown) => {
      if (isShown) hidden.delete(method); else hidden.add(method);
      draw();
    });
    label.querySelector("input").after(swatch(method));
    label.dataset.method = method;
    return label;
  });
  return el("fieldset", { class: "legend" }, el("legend", {}, "Methods"), el("div", { class: "choices" }, ...boxes));
}

// Of the methods only those that the chosen plot has.
function fitLegend(div, panel) {
  const present = new Set(arms.filter((arm) => arm.panel === panel).map((arm) => arm.method));
  for (const label of div.closest("section").querySelectorAll(".legend label")) {
    label.hidden = !present.has(label.dataset.method);
  }
}

// Controls and plot of one section; returns what redraws it.
function costSection(name, kind) {
  const div = document.getElementById(`${name}-plot`);
  if (!div) return () => {};
  const panels = data.panels.map((panel, n) => [n, panel]).filter(([, panel]) => panel.kind === kind);
  const metrics = metricsOf(kind);
  const first = fullest(panels.map(([n]) => n));
  const state = { panel: first, metric: metrics[0][0], cost: COSTS[kind][0][0], seeds: true, hidden: new Set() };
  const draw = () => { fitLegend(div, state.panel); drawCosts(div, kind, state); };
  const set = (key) => (value) => { state[key] = value; draw(); };
  document.getElementById(`${name}-controls`).append(
    choice("Data set and architecture", panels.map(([n, panel]) => [n, `${panel.words} (${panel.model})`]),
      (n) => set("panel")(Number(n)), first),
    choice("Metric", metrics, set("metric")),
    radios("Cost", COSTS[kind].filter(areKnown), set("cost")),
    checkbox("single seeds", state.seeds, set("seeds")),
    legend(arms.filter((arm) => arm.kind === kind), state.hidden, draw));
  draw();
  onClick(div);
  return draw;
}

// A mark leads to the runs behind it.
function onClick(div) {
  if (!div.on) return;
  div.on("plotly_click", ({ points }) => {
    const [what, id] = points[0].customdata ?? [];
    if (what === "arm") openArm(id);
    if (what === "run") openRun(id);
  });
}
