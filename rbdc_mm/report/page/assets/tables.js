// Sortable, filterable tables of DataTables, which draws a page of rows at a time.
const text = (name, title, more = {}) => ({
  title, data: name, type: "string",
  render: (value, what) => (what === "display" ? (known(value) ? escaped(value) : "–") : value ?? ""), ...more });

// Sorted and filtered by the exact number, shown by words(value, row).
const number = (name, title, words, more = {}) => ({
  title, data: name, type: "num", className: "num",
  render: (value, what, row) => (what === "display" ? escaped(words(value, row)) : value), ...more });

const pflops = (name, title) => number(name, `${title} (${data.unit})`,
  (value, row) => (name === "total_pflops" && row.total_is_lower_bound ? "≥ " : "") + digits(value),
  { data: (row) => flops(row[name]) });

const plain = (num = 4) => (value) => digits(value, num);
const whole = (value) => (known(value) ? String(value) : "–");

// The first cell holds a button: what a click on the row does, for the keyboard.
const opener = (title, words, method) => text("id", title, {
  className: "head", data: words,
  render: (value, what, row) => (what !== "display" ? words(row)
    : `<span class="swatch" aria-hidden="true" style="color:${lookOf(method(row)).colour}">${lookOf(method(row)).glyph}</span>` +
      `<button type="button" class="link">${escaped(words(row))}</button>`) });

function makeTable(DataTable, id, rows, columns, open, order) {
  const element = document.getElementById(id);
  if (!element) return;
  const seen = columns.filter((column) => column.always || rows.some((row) =>
    known(typeof column.data === "function" ? column.data(row, "sort") : row[column.data])));
  // heads of its own: left to DataTables and its filters they would be plain cells
  element.append(el("thead", {}, el("tr", {}, ...seen.map(({ title }) => el("th", { scope: "col" }, title)))));
  const table = new DataTable(element, {
    data: rows, columns: seen.map(({ title, ...column }) => column), order: order ? [[seen.findIndex((c) => c.name === order), "desc"]] : [],
    pageLength: 25, lengthMenu: [10, 25, 50, 100], autoWidth: false,
    columnControl: [{ target: 1, content: ["search"] }],
    ordering: { indicators: true, handler: true },
    language: { search: "Search all columns", info: "_START_ to _END_ of _TOTAL_", infoFiltered: "(of _MAX_)",
      infoEmpty: "none", zeroRecords: "No row fits the filters.", lengthMenu: "_MENU_ rows" },
  });
  element.querySelectorAll("thead tr:nth-child(2) > *").forEach((cell, n) => {
    for (const control of cell.querySelectorAll("input, select")) control.ariaLabel = `Filter by ${seen[n].title}`;
  });
  table.on("click", "tbody tr", (event) => {
    const row = table.row(event.currentTarget).data();
    if (row) open(row);
  });
}

function metricColumns(kinds, decimals) {
  return kinds.flatMap((kind) => metricsOf(kind)).map(([name, words]) => number(`${name}_mean`, `${words} (%)`,
    (value, row) => spread(value, row[`${name}_std`], decimals), { name: `${name}_mean` }));
}

function drawTables(DataTable) {
  const architecture = text("architecture", "architecture");
  const who = [text("dataset", "data set"), number("params_m", "parameters (M)", plain(3))];
  const ends = [number("n", "n", whole), number("epochs", "epochs", whole), ...who, text("config", "config", { className: "wrap" })];
  const arm = opener("method", (row) => methodWords(row.method), (row) => row.method);
  const saved = (cost, words) => number(`saving_${cost}_percent`, `saving ${words} (%)`, (value, row) => savingWords(row, cost));
  const savings = [saved("own", "(a)"), saved("with_teachers", "(b)"), saved("total", "(c)"), saved("hours", "(hours)")].slice(0, areKnown(["total_hours"]) ? 4 : 3);
  const spentHours = number("total_hours", "hours in all", plain(3));
  for (const [id, kind, decimals, costs, more] of [
    ["classification-table", "classification", 2, [["own_pflops", "(a) own"], ["with_teachers_pflops", "(b) + teachers"], ["total_pflops", "(c) total"]], savings],
    ["detection-table", "detection", 1, [["pretraining_pflops", "pretraining"], ["with_teachers_pflops", "finetuning"], ["total_pflops", "total"]], []],
  ]) {
    const metrics = metricsOf(kind);
    if (metrics.length === 0) continue;
    makeTable(DataTable, id, arms.filter((row) => row.kind === kind),
      [{ ...arm, always: true }, architecture, ...metricColumns([kind], decimals), ...costs.map(([name, words]) => pflops(name, words)), spentHours, ...more, ...ends],
      (row) => openArm(row.id), `${metrics[0][0]}_mean`);
  }
  const percent = (value) => (known(value) ? value.toFixed(2) : "–");
  makeTable(DataTable, "runs-table", runs, [
    opener("run", (row) => row.run, (row) => row.method),
    text("method", "method", { data: (row) => methodWords(row.method), name: "method" }), text("role", "role"), architecture,
    number("seed", "seed", whole),
    ...Object.entries(data.metrics).slice(0, 5).map(([name, words]) => number(name, `${words} (%)`, percent)),
    number("epochs", "epochs", whole), ...who,
    pflops("own_pflops", "(a) own"), pflops("with_teachers_pflops", "(b) + teachers"), pflops("total_pflops", "(c) total"),
    number("wall_s", "wall time (s)", plain()), number("gpu_hours", "GPU-hours (h)", plain()),
    number("core_hours", "core-hours (h)", plain()), number("total_hours", "hours in all", plain(3)),
    number("peak_memory_gib", "peak memory (GiB)", plain(3)), number("energy_kwh", "energy (kWh)", plain(3)),
    text("device", "device"), text("commit", "commit", { data: (row) => (row.commit ?? "").slice(0, 10) }),
    text("left_out", "left out because", { className: "wrap" }),
  ], (row) => openRun(row.run_id), null);
}
