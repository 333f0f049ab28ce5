// Training curves: a metric along each run, against epochs and against all FLOPs spent so far.
const curveOf = (runId, metric) =>
  rowsOf(data.curves[runId]).filter((point) => point.metric === metric && known(point.value));

// The mean over an arm's runs, made when the page was.
const meanOf = (arm, metric) => rowsOf(data.along[metric]?.[arm.id]);

// Where a point stands; null where it has no place, so that the line is broken there.
const placeOf = (point, x) => (x !== "flops" ? point.step : flops(point.total_pflops) || null);

// Curves one after another with gaps between them: one trace, however many they are.
function joined(curves, x, value) {
  const points = curves.flatMap((curve) => [...curve, null]).slice(0, -1);
  return { x: points.map((p) => p && placeOf(p, x)), y: points.map((p) => p && p[value]), points };
}

function tellOf({ arm, ...point }, metric) {
  return [`<b>${escaped(arm.label)}</b>`,
    `${escaped(data.metrics[metric])} ${spread(point.mean, point.std)} %, n = ${point.n}`,
    `${point.unit} ${point.step}`, `${flopsWords(point.total_pflops, arm.total_is_lower_bound)} ${data.unit} so far`].join("<br>");
}

// The curves of one method: means, and beneath them single runs if wanted.
function methodTraces(method, shown, { metric, x, seeds }) {
  const { colour, symbol } = lookOf(method);
  const mine = shown.filter((arm) => arm.method === method);
  const means = mine.map((arm) => meanOf(arm, metric).map((point) => ({ ...point, arm })));
  const { points, ...places } = joined(means.filter((curve) => curve.length > 0), x, "mean");
  const mean = { ...places, mode: "lines+markers", line: { color: colour, width: 1.8 },
    marker: { color: colour, symbol, size: 6 }, hovertemplate: "%{text}<extra></extra>",
    customdata: points.map((p) => p && ["arm", p.arm.id]), text: points.map((p) => p && tellOf(p, metric)) };
  if (!seeds) return [mean];
  const runs = mine.filter((arm) => arm.n > 1).flatMap((arm) => arm.runs.map((id) => curveOf(id, metric)));
  const single = joined(runs.filter((curve) => curve.length > 0), x, "value");
  return [{ x: single.x, y: single.y, mode: "lines", line: { color: colour, width: 0.8 }, opacity: 0.4, hoverinfo: "skip" }, mean];
}

function drawCurves(div, state) {
  const shown = arms.filter((arm) => arm.panel === state.panel && !state.hidden.has(arm.method));
  const traces = [...new Set(shown.map((arm) => arm.method))].flatMap((method) => methodTraces(method, shown, state));
  const curves = shown.map((arm) => meanOf(arm, state.metric).filter((point) => placeOf(point, state.x) !== null)
    .map((point) => ({ ...point, arm, x: placeOf(point, state.x), y: point.mean }))).filter((curve) => curve.length > 0);
  if (curves.length === 0) {
    drawNothing(div, state.x === "flops" ? "No FLOPs are recorded along these runs." : "Nothing to show with this choice.");
    return;
  }
  const isLog = state.x === "flops";
  const unit = curves[0][0].unit;
  const xs = curves.flat().map((point) => point.x);
  const ys = traces.flatMap((trace) => trace.y).filter(known);
  const right = isNarrow() ? 1.02 : 1.14; // room for names at the ends
  const x = isLog ? rangeOf(xs.map(Math.log10), 0.08) : [0, right * Math.max(...xs)];
  if (isLog) x[1] += (right - 1) * (x[1] - x[0]);
  const y = rangeOf(ys, 0.06);
  const frame = frameOf(div, x, y, isLog);
  const lines = () => curves.flatMap((curve) => boxesAlong(curve.map((point) => frame.at(point.x, point.y))));
  const ends = curves.map((curve) => ({ ...curve.at(-1), label: curve[0].arm.label, method: curve[0].arm.method }));
  const title = isLog ? `total training FLOPs so far, source models included (${data.unit})` : `${unit}s`;
  Plotly.react(div, traces, {
    font: FONT, showlegend: false, hovermode: "closest", paper_bgcolor: "white", margin: MARGIN,
    annotations: labelsFor(ends, lines, frame),
    hoverlabel: { align: "left", bgcolor: "white", bordercolor: "#888", font: FONT },
    xaxis: isLog ? logAxis(x, title) : { ...AXIS, range: x, title: { text: title } },
    yaxis: { ...AXIS, range: y, title: { text: `${data.metrics[state.metric]} (%)` } },
  }, CONFIG);
  div.setAttribute("aria-label", `${data.metrics[state.metric]} along training of ${shown.length} arms`);
}

function curvesSection() {
  const div = document.getElementById("curves-plot");
  const options = data.panels.flatMap((panel, n) => metricsOf(panel.kind)
    .filter(([metric]) => arms.some((arm) => arm.panel === n && arm.runs.some((id) => curveOf(id, metric).length > 1)))
    .map(([metric, words]) => [`${n}/${metric}`, `${words}: ${panel.words}`]));
  document.getElementById("curves").hidden = options.length === 0;
  if (options.length === 0) return () => {};
  const state = { x: "step", seeds: false, hidden: new Set() };
  const choose = (option) => {
    const [panel, metric] = option.split("/");
    Object.assign(state, { panel: Number(panel), metric });
  };
  const panels = options.map(([option]) => Number(option.split("/")[0]));
  const [first] = options[panels.indexOf(fullest(panels))];
  choose(first);
  const draw = () => { fitLegend(div, state.panel); drawCurves(div, state); };
  document.getElementById("curves-controls").append(
    choice("Curves of", options, (option) => { choose(option); draw(); }, first),
    radios("Against", [["step", "epochs or iterations"], ["flops", "total FLOPs"]], (x) => { state.x = x; draw(); }),
    checkbox("single seeds", false, (seeds) => { state.seeds = seeds; draw(); }),
    legend(arms, state.hidden, draw));
  draw();
  onClick(div);
  return draw;
}
