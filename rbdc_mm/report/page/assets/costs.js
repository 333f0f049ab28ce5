// The protocol tree of a run: each stage with its share of the total.
const PARTS = [["train", "train_pflops"], ["teacher", "teacher_pflops"], ["operator", "operator_pflops"]];

const stagesOf = (runId) => new Map(rowsOf(data.stages[runId]).map((s) => [s.entry, s]));
const parentsOf = (stage) => (stage?.parents ? stage.parents.split(";") : []);
const spentOn = (stage) => PARTS.reduce((sum, [, column]) => sum + (stage[column] ?? 0), 0);

function ancestorsOf(entry, stages, found = new Set()) {
  for (const parent of parentsOf(stages.get(entry))) {
    if (!found.has(parent)) ancestorsOf(parent, stages, found.add(parent));
  }
  return found;
}

// Without those that another parent already stands on: they come below that one.
function directParents(entry, stages) {
  const parents = parentsOf(stages.get(entry));
  const further = new Set(parents.flatMap((parent) => [...ancestorsOf(parent, stages)]));
  return parents.filter((parent) => !further.has(parent));
}

function stageName(entry, stage) {
  const run = runById.get(entry);
  if (!run) return stage ? stage.name.replace(/ to \S+$/, "") : entry;
  return [run.stage ?? methodWords(run.method), run.architecture].filter(known).join(", ");
}

function stageLine(entry, stage, total, depth) {
  const line = (...parts) => {
    const made = el("span", { class: "stage" }, ...parts);
    made.style.setProperty("--depth", depth); // the bars of all depths stand in one column
    return made;
  };
  const name = el("span", { class: "name", title: stage?.name ?? entry }, stageName(entry, stage));
  if (!stage || !known(stage.train_pflops)) {
    return line(name, el("span"),
      el("span", { class: "amount" }, "unknown: the total is a lower bound"));
  }
  const spent = spentOn(stage);
  if (spent === 0 && parentsOf(stage).length > 0) {
    name.classList.add("step");
    return line(name, el("span"),
      el("span", { class: "amount step" }, "no training"));
  }
  const bar = el("span", { class: "bar", ariaHidden: "true" });
  for (const [part, column] of PARTS) {
    const piece = el("i", { class: part });
    piece.style.width = `${(100 * (stage[column] ?? 0)) / total}%`;
    bar.append(piece);
  }
  const share = `${((100 * spent) / total).toFixed(1)} %`;
  const more = PARTS.slice(1).filter(([, column]) => stage[column] > 0)
    .map(([part, column]) => `${part === "teacher" ? "teachers" : "learning how to grow"} ${flopsWords(stage[column])}`);
  const amount = `${share}, ${flopsWords(spent)} ${data.unit}` + (more.length ? ` (${more.join(", ")})` : "");
  return line(name, bar, el("span", { class: "amount" }, amount));
}

function costTree(runId) {
  const stages = stagesOf(runId);
  if (!stages.has(runId)) return el("p", { class: "note" }, "Not recorded stage by stage.");
  const total = [...stages.values()].reduce((sum, stage) => sum + spentOn(stage), 0);
  const seen = new Set();
  const branch = (entry, depth) => {
    if (seen.has(entry)) {
      const name = stageName(entry, stages.get(entry));
      return el("li", { class: "leaf seen" }, `${name}: the same as above, counted once`);
    }
    seen.add(entry);
    const line = stageLine(entry, stages.get(entry), total, depth);
    const parents = directParents(entry, stages);
    if (parents.length === 0) return el("li", { class: "leaf" }, line);
    return el("li", {}, el("details", { open: true }, el("summary", {}, line),
      el("ul", {}, ...parents.map((parent) => branch(parent, depth + 1)))));
  };
  return el("ul", { class: "tree" }, branch(runId, 0));
}

function drawShares() {
  const targets = runs.filter((run) => run.is_target && data.stages[run.run_id]);
  const section = document.getElementById("shares");
  section.hidden = targets.length === 0;
  if (section.hidden) return;
  const words = (run) => [methodWords(run.method), run.dataset, run.architecture,
    known(run.seed) ? `seed ${run.seed}` : "", known(run.epochs) ? `${run.epochs} epochs` : ""]
    .filter(known).join(", ");
  // the run with the most stages first: a plain one has little to show
  const numStages = (run) => data.stages[run.run_id].entry.length;
  const sorted = [...targets].sort((a, b) => numStages(b) - numStages(a));
  const show = (runId) => document.getElementById("shares-tree").replaceChildren(
    el("p", {}, "Total (c): ",
      el("b", {}, `${flopsWords(runById.get(runId).total_pflops, runById.get(runId).total_is_lower_bound)} ${data.unit}`),
      " · ", detailsButton("details of this run", () => openRun(runId))),
    costTree(runId));
  document.getElementById("shares-controls").append(
    choice("Run", sorted.map((run) => [run.run_id, words(run)]), show));
  show(sorted[0].run_id);
}
