// Charts: curves by uPlot, heat maps on a canvas; each can be copied as a picture or as csv.

import uPlot from "./uplot.js";
import { element } from "./elements.js";

const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

// Where the plots of a card begin and end, at whose steps the heat map's columns stand
const LEFT = 72, RIGHT = 28;

// data: [x, ...ys]; lines: [{label, stroke, width, dash, band: [low, high] indices}]; key: of charts with one cursor,
// of which the last has the name of their common x axis (named)
export class Chart {
  constructor(where, { width, height, x, y, log = false, data, lines, marks = [], range, key, named = true }) {
    const axis = (label, size) => ({
      label, labelSize: label ? 16 : 0, size, stroke: css("--text"), grid: { stroke: css("--grid"), width: 1 },
      ticks: { stroke: css("--grid") }, font: "11px sans-serif", labelFont: "12px sans-serif",
    });
    const yAxis = axis(y, LEFT - 16);
    if (log) yAxis.values = (_, splits) => powers(splits);
    else yAxis.values = (_, splits) => splits.map((one) => plain(one));
    const xAxis = axis(named ? x : null, named ? 34 : 28);
    xAxis.values = (_, splits) => splits.map((one) => plain(one));
    const series = [{ label: x }];
    const bands = [];
    lines.forEach((line) => {
      series.push({
        label: line.label, stroke: line.stroke, width: line.width ?? 1.5, dash: line.dash,
        points: { show: line.points ?? false, size: 5 }, spanGaps: true,
        value: (_, value) => (value === null || value === undefined ? "" : log ? shown(10 ** value) : shown(value)),
      });
      if (line.band) bands.push({ series: line.band, fill: `${line.stroke}33` });
    });
    const draw = (u) => {
      const { ctx } = u;
      ctx.save();
      ctx.font = `${11 * devicePixelRatio}px sans-serif`;
      for (const mark of marks) {
        const at = Math.round(u.valToPos(mark.x, "x", true));
        if (at < u.bbox.left || at > u.bbox.left + u.bbox.width) continue;
        ctx.strokeStyle = ctx.fillStyle = mark.colour ?? css("--mark");
        ctx.setLineDash(mark.dash ?? [4, 4]);
        ctx.lineWidth = devicePixelRatio;
        ctx.beginPath();
        ctx.moveTo(at, u.bbox.top);
        ctx.lineTo(at, u.bbox.top + u.bbox.height);
        ctx.stroke();
        if (mark.text) {
          const room = u.bbox.left + u.bbox.width - at > ctx.measureText(mark.text).width + 8;
          ctx.textAlign = room ? "left" : "right";
          ctx.fillText(mark.text, room ? at + 6 : at - 6, u.bbox.top + 12 * devicePixelRatio);
        }
      }
      ctx.restore();
    };
    this.plot = new uPlot({
      width, height, series, bands, axes: [xAxis, yAxis],
      scales: { x: { time: false, range: key ? (_, from, to) => [from - 0.5, to + 0.5] : undefined }, y: range ? { range } : {} },
      legend: { show: true, live: true, markers: { dash: (_, k) => (lines[k - 1]?.dash ? "dotted" : "solid") } }, hooks: { draw: [draw] },
      cursor: key ? { sync: { key } } : {}, padding: [8, RIGHT, 0, 0],
    }, data, where);
    // the edges of a band have no line of their own in the legend
    const rows = this.plot.root.querySelectorAll(".u-legend .u-series");
    lines.forEach((line, k) => { if (line.width === 0 && rows[k + 1]) rows[k + 1].style.display = "none"; });
  }
}

// A band of rows for each name: time runs right as in the charts of the card, values from dark to bright
export function heat(where, bands, { width, x, marks = [] }) {
  const row = 12, gap = 8, bottom = 46;
  const height = bands.reduce((sum, [, rows]) => sum + Math.max(rows.length, 2) * row + gap, 0) + bottom;
  const canvas = element("canvas");
  canvas.width = width * devicePixelRatio;
  canvas.height = height * devicePixelRatio;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  where.append(canvas);
  const ctx = canvas.getContext("2d");
  ctx.scale(devicePixelRatio, devicePixelRatio);
  ctx.fillStyle = css("--back");
  ctx.fillRect(0, 0, width, height);
  ctx.font = "11px sans-serif";
  let top = 2;
  const step = (width - LEFT - RIGHT) / Math.max(x.length, 1);
  for (const [name, rows, from, to] of bands) {
    const middle = top + (Math.max(rows.length, 2) * row) / 2;
    ctx.fillStyle = css("--text");
    ctx.textBaseline = "middle";
    ctx.fillText(name, 4, middle - 6, LEFT - 8);
    ctx.fillText([from, to].map((one) => shown(Number(one.toPrecision(2)))).join(" … "), 4, middle + 6, LEFT - 8);
    rows.forEach((values, k) => values.forEach((value, t) => {
      ctx.fillStyle = viridis((value - from) / (to - from));
      ctx.fillRect(LEFT + t * step, top + k * row, step + 0.6, row - 1);
    }));
    top += Math.max(rows.length, 2) * row + gap;
  }
  ctx.strokeStyle = css("--mark");
  for (const mark of marks) {
    const at = LEFT + (x.indexOf(mark) + 0.5) * step;
    ctx.beginPath();
    ctx.moveTo(at, 0);
    ctx.lineTo(at, top - gap);
    ctx.stroke();
  }
  ctx.fillStyle = css("--text");
  const every = Math.max(1, Math.ceil(x.length / 8));
  x.forEach((t, k) => { if (k % every === 0) ctx.fillText(String(t), LEFT + k * step, top + 4); });
  ctx.fillText("step of the sequence", LEFT + (width - LEFT) / 2 - 50, top + 20);
  // the scale: what is dark and what is bright
  const scale = ctx.createLinearGradient(LEFT, 0, LEFT + 120, 0);
  VIRIDIS.forEach((_, k) => scale.addColorStop(k / (VIRIDIS.length - 1), viridis(k / (VIRIDIS.length - 1))));
  ctx.fillStyle = scale;
  ctx.fillRect(LEFT, top + 28, 120, 8);
  ctx.fillStyle = css("--text");
  ctx.fillText("lowest … highest of the numbers at the left", LEFT + 128, top + 32);
  return canvas;
}

// of van der Walt and Smith 2015, at nine points
const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121], [109, 205, 89], [253, 231, 37]];
function viridis(share) {
  if (!Number.isFinite(share)) return "#888";
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const low = Math.floor(at), high = Math.min(low + 1, VIRIDIS.length - 1);
  return `rgb(${VIRIDIS[low].map((one, k) => Math.round(one + (VIRIDIS[high][k] - one) * (at - low))).join(",")})`;
}

export const shown = (value) => (typeof value !== "number" ? String(value) : Number.isFinite(value)
  ? Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-3) ? value.toExponential(2) : value.toLocaleString("en", { maximumSignificantDigits: 4 }) : String(value));
const plain = (value) => (value === null ? "" : Math.abs(value) >= 1e6 ? value.toExponential(0) : value.toLocaleString("en", { maximumSignificantDigits: 4 }));
const SMALL = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const power = (exponent) => (Number.isInteger(exponent) ? (exponent === 0 ? "1" : `10${[...String(exponent)].map((one) => SMALL[one]).join("")}`) : "");

// Powers of ten; where an axis has less than two whole ones, plain numbers
const powers = (exponents) => exponents.map(exponents.filter(Number.isInteger).length > 1 ? power : (one) => shown(Number((10 ** one).toPrecision(2))));

// Copy to the clipboard; where the browser does not allow that, download
export async function save(kind, name, made) {
  const content = await made;
  try {
    if (kind === "csv") await navigator.clipboard.writeText(content);
    else await navigator.clipboard.write([new ClipboardItem({ "image/png": content })]);
    return "copied";
  } catch {
    const blob = kind === "csv" ? new Blob([content], { type: "text/csv" }) : content;
    const link = element("a", { href: URL.createObjectURL(blob), download: `${name}.${kind}` });
    document.body.append(link);
    link.click();
    link.remove();
    URL.revokeObjectURL(link.href);
    return "saved";
  }
}

// What the lines of a canvas are called, and their colours: as the legend beside it shows them
function legendOf(canvas) {
  const rows = canvas.closest(".uplot")?.querySelectorAll(".u-legend .u-series") ?? [];
  return [...rows].slice(1).filter((row) => row.style.display !== "none").map((row) => ({
    label: row.querySelector(".u-label").textContent, ...marked(getComputedStyle(row.querySelector(".u-marker"))),
  }));
}

const marked = (style) => ({ stroke: style.borderTopColor, dashed: style.borderTopStyle === "dotted" });

// One picture of several canvases with their legends, below a title, on the page's ground
export function together(canvases, title) {
  const made = element("canvas"), unit = devicePixelRatio, high = 18 * unit;
  made.width = Math.max(...canvases.map((one) => one.width));
  const ctx = made.getContext("2d");
  const font = () => { ctx.font = `${11 * unit}px sans-serif`; ctx.textBaseline = "middle"; };
  font();
  const legends = canvases.map((one) => {
    let x = 8 * unit, y = high / 2;
    const placed = legendOf(one).map((line) => {
      const wide = 28 * unit + ctx.measureText(line.label).width;
      if (x > 8 * unit && x + wide > made.width) { x = 8 * unit; y += high; }
      const at = { ...line, x, y };
      x += wide + 8 * unit;
      return at;
    });
    return { placed, height: placed.length ? y + high / 2 : 0 };
  });
  made.height = 2 * high + canvases.reduce((sum, one, k) => sum + one.height + legends[k].height, 0);
  ctx.fillStyle = css("--back");
  ctx.fillRect(0, 0, made.width, made.height);
  ctx.fillStyle = css("--text");
  ctx.textBaseline = "middle";
  ctx.font = `bold ${13 * unit}px sans-serif`;
  ctx.fillText(title, 8 * unit, high);
  font();
  let top = 2 * high;
  canvases.forEach((one, k) => {
    ctx.drawImage(one, 0, top);
    top += one.height;
    for (const { label, stroke, dashed, x, y } of legends[k].placed) {
      ctx.fillStyle = stroke;
      for (const [from, wide] of dashed ? [[0, 4], [7, 4], [14, 4]] : [[0, 18]])
        ctx.fillRect(x + from * unit, top + y - unit, wide * unit, 2 * unit);
      ctx.fillStyle = css("--text");
      ctx.fillText(label, x + 22 * unit, top + y);
    }
    top += legends[k].height;
  });
  return new Promise((done) => { made.toBlob(done, "image/png"); });
}
