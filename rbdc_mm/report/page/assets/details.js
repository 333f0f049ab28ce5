// Where a number comes from: a dialog for an arm, with its runs, and one for a run.
const dialog = document.getElementById("details");
const backButton = document.getElementById("details-back");
let trail = []; // what was looked at before, for the way back

function detailsButton(words, open) {
  const button = el("button", { type: "button", class: "link" }, words);
  button.addEventListener("click", (event) => { event.stopPropagation(); open(); });
  return button;
}

function show(title, body, reopen) {
  document.getElementById("details-head").textContent = title;
  document.getElementById("details-body").replaceChildren(...body);
  trail.push(reopen);
  backButton.hidden = trail.length < 2;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

backButton.addEventListener("click", () => { trail.pop(); trail.pop()(); });
document.getElementById("details-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("close", () => { trail = []; });

function facts(pairs) {
  const shown = pairs.filter(([, value]) => known(value) && value !== "–");
  return el("dl", { class: "facts" }, ...shown.flatMap(([term, value]) => [el("dt", {}, term),
    value instanceof Node ? el("dd", {}, value) : el("dd", {}, String(value))]));
}

const withUnit = (value, unit, num = 4) => (known(value) ? `${digits(value, num)} ${unit}` : null);
const code = (text) => (known(text) ? el("code", {}, text) : null);

function costFacts(row) {
  const isDetection = row.kind === "detection";
  return facts([
    ["own (a)", withUnit(flops(row.own_pflops), data.unit)],
    [isDetection ? "finetuning, with teachers (b)" : "with teachers, search (b)", withUnit(flops(row.with_teachers_pflops), data.unit)],
    ["pretraining", withUnit(flops(row.pretraining_pflops), data.unit)],
    ["total, all sources (c)", `${flopsWords(row.total_pflops, row.total_is_lower_bound)} ${data.unit}`],
    ["spent, with repeated work", row.spent_pflops > row.total_pflops * (1 + 1e-9) ? withUnit(flops(row.spent_pflops), data.unit) : null],
    ["evaluation, in no total", withUnit(flops(row.eval_pflops), data.unit)],
    ["wall time", known(row.wall_s) ? duration(row.wall_s) : null],
    ["GPU-hours", known(row.gpu_hours) ? digits(row.gpu_hours) : null],
    ["core-hours", known(row.core_hours) ? digits(row.core_hours) : null],
    ["hours with its source models'", known(row.total_hours) ? digits(row.total_hours) : null],
    [known(row.peak_memory_of) ? `peak memory of the ${row.peak_memory_of}` : "peak memory", withUnit(row.peak_memory_gib, "GiB", 3)],
    ["energy", withUnit(row.energy_kwh, "kWh", 3)],
    ["convention", row.convention],
  ]);
}

// 'beyond the curve', '≥ 31.0', '−12.0'
function bounded(value, bound, note, decimals = 1) {
  if (!known(value)) return note || "–";
  return `${bound ? `${bound} ` : ""}${value.toFixed(decimals).replace("-", "−")}`;
}

const savingWords = (arm, cost) => bounded(arm[`saving_${cost}_percent`], arm[`saving_${cost}_bound`], arm[`saving_${cost}_note`]);

function savingFacts(arm) {
  const costs = COSTS[arm.kind].filter(areKnown)
    .map(([name, words]) => [name === "total_hours" ? "hours" : name.replace("_pflops", ""), words]).reverse();
  return facts(costs.flatMap(([cost, words]) => {
    const [low, high] = [arm[`saving_${cost}_low_percent`], arm[`saving_${cost}_high_percent`]];
    const ends = known(low) || known(high) ? `, 95% interval ${bounded(low, "", "open")} to ${bounded(high, "", "open")} %` : "";
    const note = known(arm[`saving_${cost}_percent`]) && arm[`saving_${cost}_note`] ? ` (${arm[`saving_${cost}_note`]})` : "";
    const unit = known(arm[`saving_${cost}_percent`]) ? " %" : "";
    return [[`saving, ${words}`, savingWords(arm, cost) + unit + note + ends],
      [`speed-up, ${words}`, known(arm[`speedup_${cost}`]) ? `${bounded(arm[`speedup_${cost}`], arm[`saving_${cost}_bound`], "", 2)} ×` : null],
      [`gain at equal cost, ${words}`, known(arm[`gain_${cost}_points`]) ? `${bounded(arm[`gain_${cost}_points`], arm[`gain_${cost}_bound`], "", 2)} points` : null]];
  }));
}

function openRun(runId) {
  const run = runById.get(runId);
  const metrics = Object.entries(data.metrics).filter(([name]) => known(run[name])).map(([name, words]) => [
    words, `${run[name].toFixed(2)} % at the last evaluation` + (known(run[`best_${name}`]) ? `, best ${run[`best_${name}`].toFixed(2)} %` : "")]);
  if (known(run.best_epoch)) metrics.push(["best at epoch", run.best_epoch]);
  const parents = run.parents ? run.parents.split(";").map((id) => (runById.has(id)
    ? el("li", {}, detailsButton(id, () => openRun(id))) : el("li", {}, code(id)))) : [];
  const tidy = (state) => (state === true ? ", with uncommitted changes" : state === false ? ", clean" : "");
  show(run.run, [
    known(run.left_out) ? el("p", { class: "warning" }, `Left out of all means: ${run.left_out}.`) : null,
    el("h3", {}, "What"),
    facts([["method", methodWords(run.method)], ["operator", run.operator], ["data set", run.dataset],
      ["classes", run.num_classes], ["architecture", run.architecture],
      ["size", `${digits(run.params_m, 3)} M parameters, ${digits(run.gmacs_per_sample, 3)} GMACs per image`],
      ["stage", [run.stage, run.role].filter(known).join(", ")], ["seed", run.seed], ["epochs", run.epochs],
      ["iterations", run.num_iters]]),
    el("h3", {}, "How well"), facts(metrics),
    el("h3", {}, "What it cost"), costFacts(run), costTree(runId),
    el("h3", {}, "Where it comes from"),
    facts([["run file", code(run.path)], ["config", code(run.config)], ["config hash", code(run.config_hash)],
      ["commit", known(run.commit) ? el("span", {}, code(run.commit), tidy(run.dirty)) : null],
      ["device", run.device], ["versions", run.versions], ["run id", code(run.run_id)]]),
    parents.length ? el("div", {}, el("p", { class: "note" }, "Parents"), el("ul", {}, ...parents)) : null,
  ].filter((part) => part !== null), () => openRun(runId));
}

function openArm(id) {
  const arm = arms[id];
  const decimals = arm.kind === "detection" ? 1 : 2;
  const metrics = metricsOf(arm.kind).filter(([name]) => known(arm[`${name}_mean`]));
  const headline = metrics[0];
  const rows = arm.runs.map((runId) => runById.get(runId)).map((run) => el("tr", {},
    el("td", {}, detailsButton(run.run, () => openRun(run.run_id))),
    el("td", { class: "right" }, known(run.seed) ? String(run.seed) : "–"),
    el("td", { class: "right" }, known(run[headline[0]]) ? run[headline[0]].toFixed(2) : "–"),
    el("td", { class: "right" }, flopsWords(run.total_pflops, run.total_is_lower_bound)),
    el("td", {}, code(run.path) ?? "–")));
  const head = ["run", "seed", `${headline[1]} (%)`, `total (c) (${data.unit})`, "run file"];
  show(`${arm.label}: ${arm.dataset}, ${arm.architecture || "model"}`, [
    el("h3", {}, "How well"),
    facts(metrics.map(([name, words]) => [words, `${spread(arm[`${name}_mean`], arm[`${name}_std`], decimals)} %, n = ${arm.n}`])),
    el("h3", {}, "What it cost, mean of a run"), costFacts(arm),
    el("h3", {}, `Against ${data.baseline}`), savingFacts(arm),
    el("h3", {}, "Config"), facts([["config", code(arm.config)], ["config hash", code(arm.config_hash)]]),
    el("h3", {}, `The ${arm.n} run${arm.n === 1 ? "" : "s"} behind it`),
    el("div", { class: "table scroll", tabIndex: 0, role: "region", ariaLabel: "Runs" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, ...head.map((words) => el("th", { scope: "col" }, words)))),
      el("tbody", {}, ...rows))),
  ], () => openArm(id));
}
