// Direct labels: each beside its mark, where it covers no other label, mark, bar or line.
const MAX_LABELS = 40; // more than that nobody reads; the pointer still names each mark

const pen = document.createElement("canvas").getContext("2d");
function textWidth(text) {
  pen.font = `${FONT.size}px ${FONT.family}`;
  return pen.measureText(text).width;
}

// Where a plot puts its points, in pixels, and how large it is; x and y are the axes' ranges.
function frameOf(div, x, y, isLog) {
  const width = div.clientWidth - MARGIN.l - MARGIN.r;
  const height = div.clientHeight - MARGIN.t - MARGIN.b;
  const at = (u, v) => [
    (((isLog ? Math.log10(u) : u) - x[0]) / (x[1] - x[0])) * width, (1 - (v - y[0]) / (y[1] - y[0])) * height];
  return { width, height, at, isLog };
}

const boxAround = ([u, v], half, high = half) => [u - half, v - high, u + half, v + high];

// A line as small boxes along it.
function boxesAlong(pixels) {
  return pixels.slice(1).flatMap(([u, v], n) => {
    const [u0, v0] = pixels[n];
    const steps = Math.max(1, Math.ceil(Math.hypot(u - u0, v - v0) / 8));
    return Array.from({ length: steps + 1 }, (_, k) =>
      boxAround([u0 + ((u - u0) * k) / steps, v0 + ((v - v0) * k) / steps], 3));
  });
}

const overlap = (a, b) => Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) *
  Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));

// Annotations for plotly. points: {x, y, label, method}; obstacles: makes boxes in pixels.
function labelsFor(points, obstacles, frame) {
  if (isNarrow() || points.length > MAX_LABELS) return [];
  const boxes = obstacles();
  return [...points].sort((p, q) => q.y - p.y).map((p) => {
    const [u, v] = frame.at(p.x, p.y);
    const half = textWidth(p.label) / 2 + 3;
    let best = null;
    for (const out of [12, 22, 40, 70]) {
      for (let lift = 0; lift <= 240; lift += 8) {
        for (const [dx, dy] of [[1, -lift], [1, lift], [-1, -lift], [-1, lift], [0, -lift], [0, lift]]) {
          if (dx === 0 && (lift < 16 || out > 12)) continue;
          const [cx, cy] = [u + dx * (half + out), v + dy];
          const isOutside = cx - half < 0 || cx + half > frame.width + MARGIN.r || cy < 8 || cy > frame.height - 8;
          const away = lift + out;
          if (best !== null && away + (isOutside ? 1e6 : 0) >= best.cost) continue;
          const box = boxAround([cx, cy], half, 8);
          const covered = boxes.reduce((sum, other) => sum + overlap(box, other), 0);
          const cost = 3 * covered + away + (isOutside ? 1e6 : 0);
          if (best === null || cost < best.cost) best = { cost, box, cx, cy, away };
        }
      }
    }
    boxes.push(best.box);
    const { colour } = lookOf(p.method);
    const isAway = best.away > 30; // a thin line leads back to the mark
    return {
      x: frame.isLog ? Math.log10(p.x) : p.x, y: p.y, ax: best.cx - u, ay: best.cy - v, text: escaped(p.label),
      font: { ...FONT, color: colour }, showarrow: true, arrowhead: 0, arrowwidth: 0.7,
      arrowcolor: isAway ? colour : "rgba(0,0,0,0)", standoff: 7, borderpad: 1,
    };
  });
}
