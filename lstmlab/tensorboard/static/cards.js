// The cards: one question each, with a line on how to read it and buttons that copy it.

import { Chart, heat, save, shown, together } from "./charts.js";
import { element, select, table } from "./elements.js";
import { ink, labels, quantile } from "./lines.js";
import { addressOf, columnsOf, fetchJson, rowsAt } from "./tables.js";

const PATHS = {
  used: "as the learner uses it", cell_state: "cell state, exact", carousel: "carousel only", output: "output",
  nets: "through gates and candidates", net_input_gate: "input gate", net_forget_gate: "forget gate", net_output_gate: "output gate",
  net_candidate: "candidate",
};
const MEASURES = {
  half_life: "half-life, steps", retention_over_lag: "retention over the lag", retention: "retention per step",
  saturated: "share of saturated steps", drift: "drift per step", largest: "largest state", effective_cells: "effective cells",
};
// of one step back each: kind in bound.csv, its name, and the paths whose norms it is for
const FACTORS = [
  ["log10_bound_spectral", "bound of the norm", ["used", "cell_state", "output"]],
  ["log10_carousel", "carousel's factor", ["used", "cell_state", "carousel"]],
];
const EFFECTS = { error: "error", recalled: "recalled", retention: "retention", retention_carousel: "along the carousel" };
const MOST = 8; // cells whose lines are drawn one by one; a heat map shows them all
const HIGH = 150, NAMED = 16; // of a chart among several, and the name of their common axis below the last
const ANSWER = "target and answer", DELIVERED = "error by the output";
const APART = ["inputs", ANSWER, DELIVERED]; // not in the heat map of the cells

const CARDS = [
  ["Gates on one sequence", sequence, "Dotted lines mark the events that the task announces. A network that remembers opens its input gate there, and keeps its state in between.", "Gates, step by step"],
  ["Error against lag", lag, "How much of the error at the last target arrives at an earlier step. Along the cell state a flat line has lost nothing; a straight fall is exponential decay.", "error_flow: which way the error came"],
  ["Memory", memory, "What a cell keeps. Median over the chosen cells and folded seeds; the band is from the lowest to the highest. Dashed, where steps are drawn: the lag that the task asks for.", "How long a cell remembers"],
  ["What if", whatIf, "One gate at a time is held open, closed or at its mean. What makes the error rise was needed. Bold: what changes a number most.", "Which gate forgets"],
  ["Equations", equations, "The cell with its switches, and what each gate lets through on average at this moment.", "gates: how far they are open"],
];

const kept = new Map();

export function cards(where, now) {
  for (const [title, draw, hint, section] of CARDS) {
    if (!kept.has(title)) {
      const body = element("div", { className: "body" });
      const controls = element("div", { className: "controls" });
      const said = element("span", { className: "said" });
      const card = { body, controls, csv: () => "", canvases: () => [] };
      const copy = (kind) => element("button", {
        type: "button",
        onclick: async () => {
          const made = kind === "csv" ? card.csv() : together(card.canvases(), title);
          said.textContent = await save(kind, title.toLowerCase().replaceAll(" ", "-"), made);
        },
      }, `copy as ${kind.toUpperCase()}`);
      [card.png, card.text] = [copy("png"), copy("csv")];
      card.box = element("article", {},
        element("header", {}, element("h2", {}, title), card.png, card.text, said),
        element("p", { className: "note" }, hint, " ", element("a", {
          href: addressOf("reading", { section }), target: "_blank", rel: "noopener",
        }, "How to read it"), "."), controls, body);
      where.append(card.box);
      kept.set(title, card);
    }
    const card = kept.get(title);
    card.body.replaceChildren();
    card.controls.replaceChildren();
    card.csv = () => "";
    card.canvases = () => [...card.body.querySelectorAll("canvas")];
    card.png.hidden = card.text.hidden = !now.lines.length;
    if (!now.lines.length || now.now === undefined) {
      empty(card, now.lines.length ? "Nothing of the chosen runs can be read yet; this page looks again by itself." : "Choose a run at the left.");
      continue;
    }
    try {
      draw(card, { ...now, width: Math.max(320, where.clientWidth - 40) });
    } catch (error) { // one card must not take the others with it
      console.error(error);
      card.body.replaceChildren();
      empty(card, `This card cannot be drawn (${error.message}): a table of these runs may be of another version.`);
    }
    card.png.hidden = !card.canvases().length;
  }
}

// The layer that the cards show; where the tables have several, a choice of them
function layerOf(card, { state, redraw }, found) {
  const layers = [...new Set(found.filter(Boolean).flatMap((one) => one.columns.layer ?? []))];
  const layer = layers.includes(state.layer) ? state.layer : layers[0] ?? "";
  if (layers.length > 1) card.controls.append(select(layers.map((one) => [one, one]), layer, (value) => { state.layer = value; redraw(); }, "layer"));
  return layer;
}

const tablesOf = ({ lines, tables }, name) => lines.flatMap((line) => line.runs).map((one) => tables.of(one.run)[name]);

// The moment of what is shown; of several runs from the first to the last
function measuredAfter(moments, unit) {
  const ends = [...new Set([Math.min(...moments), Math.max(...moments)])];
  return element("p", { className: "note" }, `Measured after ${ends.map((one) => one.toLocaleString("en")).join(" to ")} ${unit}.`);
}

// How to have something measured: runs have settings, models of Keras without a result row a callback
function askedBy({ lines }, options) {
  const runs = lines.flatMap((line) => line.runs);
  const lab = options.map((one) => `diagnostic=${one}`);
  const keras = [...new Set(options.map((one) => (one === "light" ? one : "full")))].map((one) => `GateTensorBoard(..., diagnostics="${one}")`);
  const own = (one) => Object.keys(one.row).length > 0;
  return [...(runs.some(own) ? lab : []), ...(runs.every(own) ? [] : keras)].join(" or ");
}

const has = (found, ...names) => Boolean(found) && names.every((name) => found.columns[name]);
const empty = (card, text) => card.body.append(element("p", {}, text));
const log = (value) => (value > 0 && Number.isFinite(value) ? Math.log10(value) : null);
const lineOf = (head, rows) => [head, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
const quoted = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(orEmpty(value)));
const orEmpty = (value) => (value === undefined || value === null || Number.isNaN(value) ? "" : value);
const numbered = (names, name) => names.filter((one) => new RegExp(`^${name}_\\d+$`).test(one));

// ---- gates on one sequence

function sequence(card, given) {
  const { state, tables, lines, now, unit, width, redraw } = given;
  const runs = lines.flatMap((line) => line.runs).filter((one) => tables.of(one.run).example);
  if (!runs.length) { empty(card, `No example was measured in these runs: ${askedBy(given, ["light", "full"])} does.`); return; }
  const run = runs.find((one) => one.run === state.example) ?? runs[0];
  const found = tables.of(run.run).example;
  card.controls.append(
    select(labels(runs, state.varied), run.run, (value) => { state.example = value; redraw(); }, "run"),
    select([["", "lines"], ["heat", "time × cell"]], state.heat ? "heat" : "", (value) => { state.heat = Boolean(value); redraw(); }, "gates as"));
  const layer = layerOf(card, given, [found]);
  const { moment, rows } = rowsAt(found, now, layer);
  if (moment === undefined) { empty(card, "Not measured yet at this moment."); return; }
  card.body.append(measuredAfter([moment], unit));

  const there = columnsOf(found, layer);
  const column = (name) => rows.map((row) => found.columns[name][row]);
  const t = column("t");
  const marks = rows.filter((row) => found.columns.event?.[row] === 1).map((row) => found.columns.t[row]);
  const events = marks.length < t.length / 3 ? marks : [];
  card.csv = () => lineOf(there, rows.map((row) => there.map((name) => found.columns[name][row])));
  const gates = there.filter((name) => /_gate_\d+$/.test(name)).map((name) => name.replace(/_\d+$/, ""));
  const named = [...new Set(gates)];
  const parts = [
    ["inputs", numbered(there, "input")],
    ...named.map((gate) => [gate.replace("_", " "), numbered(there, gate), [0, 1]]),
    ["cell state", numbered(there, "cell_state")],
    ["output", numbered(there, "output")],
    // of a layer of a Keras model the tables have dE/d(output) as target, and the output as answer
    found.columns.layer
      ? [DELIVERED, numbered(there, "target")]
      : [ANSWER, [...numbered(there, "target"), ...numbered(there, "prediction")]],
  ].filter(([, names]) => names.length);

  if (state.heat) {
    const inner = parts.filter(([name]) => !APART.includes(name));
    heat(card.body, inner.map(([name, names, range]) => {
      const values = names.map(column);
      const largest = Math.max(...values.flat().filter(Number.isFinite).map(Math.abs), 1e-12);
      return [name, values, ...(range ?? [-largest, largest])];
    }), { width, x: t, marks: events });
  }
  const charts = parts.filter(([name]) => !state.heat || APART.includes(name));
  for (const [name, names, range] of charts) {
    const drawn = names.slice(0, MOST);
    const ys = drawn.map((one) => {
      const values = column(one).map((value) => (Number.isFinite(value) ? value : null));
      // a target counts where an error is asked for
      return one.startsWith("target") && found.columns.weight ? values.map((value, k) => (found.columns.weight[rows[k]] ? value : null)) : values;
    });
    new Chart(card.body, {
      width, height: HIGH + (name === charts.at(-1)[0] ? NAMED : 0), x: "step of the sequence", y: name, key: "sequence",
      named: name === charts.at(-1)[0], data: [t, ...ys],
      range: range ? [-0.02, 1.02] : undefined,
      lines: drawn.map((one, k) => ({ label: one, stroke: ink(k), points: /^(target|prediction)/.test(one), dash: one.startsWith("target") ? [6, 4] : undefined })),
      marks: events.map((x) => ({ x, dash: [2, 3] })),
    });
    if (names.length > MOST) card.body.append(element("p", { className: "note" }, `The first ${MOST} of ${names.length}; time × cell shows all.`));
  }
}

// ---- error against lag

function lag(card, given) {
  const { state, tables, lines, now, unit, width, strokes, redraw } = given;
  const known = new Set(lines.flatMap((line) => line.runs).flatMap((one) => tables.of(one.run).error_flow?.columns.path ?? []));
  if (!known.size) { empty(card, `No error flow was measured in these runs: ${askedBy(given, ["light", "full"])} does.`); return; }
  const paths = [...Object.keys(PATHS).filter((path) => known.has(path)), ...[...known].filter((path) => !(path in PATHS))];
  const path = known.has(state.path) ? state.path : paths[0];
  card.controls.append(select(paths.map((one) => [one, PATHS[one] ?? one]), path, (value) => { state.path = value; redraw(); }, "path"));

  const layer = layerOf(card, given, tablesOf(given, "error_flow"));
  const moments = [];
  const curves = lines.map((line) => {
    const byLag = new Map();
    for (const one of line.runs) {
      const found = tables.of(one.run).error_flow;
      if (!has(found, "path", "lag", "norm")) continue;
      // a rule that cuts nothing uses the exact flow, and has no curve of its own
      const own = path === "used" && !found.columns.path.includes("used") ? "cell_state" : path;
      const last = rowsAt(found, now, layer, (row) => found.columns.path[row] === own);
      if (last.rows.length) moments.push(last.moment);
      for (const row of last.rows) {
        const at = found.columns.lag[row];
        if (!byLag.has(at)) byLag.set(at, []);
        byLag.get(at).push(found.columns.norm[row]);
      }
    }
    return { line, byLag };
  }).filter(({ byLag }) => byLag.size);
  if (!curves.length) { empty(card, "Not measured yet at this moment."); return; }

  if (moments.some((moment) => moment !== now)) card.body.append(measuredAfter(moments, unit));

  const lags = [...new Set(curves.flatMap(({ byLag }) => [...byLag.keys()]))].sort((a, b) => a - b);
  const data = [lags], drawn = [];
  const put = (values, line) => { data.push(values); drawn.push(line); };
  for (const { line, byLag } of curves) {
    const at = (share) => lags.map((one) => (byLag.has(one) ? quantile(byLag.get(one).map((value) => log(value) ?? -Infinity).filter((value) => value > -Infinity), share) : null));
    const { stroke, dash } = strokes.get(line);
    put(at(0.5), { label: line.name, stroke, dash, width: 2 });
    if (line.runs.length > 1) {
      put(at(1), { label: `${line.name}, highest`, stroke: `${stroke}00`, width: 0 });
      put(at(0), { label: `${line.name}, lowest`, stroke, width: 0, band: [drawn.length - 1 + 1, drawn.length + 1] });
    }
  }
  for (const { line, byLag } of curves) {
    const start = log(quantile(byLag.get(0) ?? [], 0.5)); // the factors begin at what arrives at lag 0
    for (const [kind, called, paths] of start === null ? [] : FACTORS) {
      if (!paths.includes(path)) continue;
      const values = new Map();
      for (const one of line.runs) {
        const found = tables.of(one.run).bound;
        if (!has(found, "kind", "lag", "value")) continue;
        for (const row of rowsAt(found, now, layer, (row) => found.columns.kind[row] === kind).rows) {
          const at = found.columns.lag[row];
          values.set(at, [...(values.get(at) ?? []), start + found.columns.value[row]]);
        }
      }
      if (!values.size) continue;
      put(lags.map((one) => quantile(values.get(one) ?? [], 0.5)),
        { label: `${line.name}, ${called}`, stroke: strokes.get(line).stroke, dash: [2, 4], width: 1.2 });
    }
  }
  const asked = quantile(lines.flatMap((line) => line.runs).flatMap((one) => {
    const found = tables.of(one.run).memory;
    return has(found, "lag") ? rowsAt(found, now, layer).rows.map((row) => found.columns.lag[row]) : [];
  }), 0.5);
  // below what float32 holds is no measurement
  data.slice(1).forEach((values) => values.forEach((value, k) => { if (value !== null && value < -38) values[k] = null; }));
  new Chart(card.body, {
    width, height: 320, x: "lag: steps back from the last target", y: "norm of dE (log)", log: true, data, lines: drawn,
    marks: asked === null ? [] : [{ x: asked, text: "the task's lag" }],
  });
  card.csv = () => lineOf(["lag", ...drawn.map((one) => `log10 ${one.label}`)], lags.map((one, k) => data.map((values) => values[k])));
}

// ---- memory over training

function memory(card, given) {
  const { state, tables, lines, now, unit, width, strokes, redraw } = given;
  const having = lines.filter((line) => line.runs.some((one) => tables.of(one.run).memory));
  if (!having.length) { empty(card, `No memory was measured in these runs: ${askedBy(given, ["light", "full"])} does.`); return; }
  const known = new Set(tablesOf(given, "memory").filter(Boolean).flatMap((found) => found.names));
  const measures = Object.keys(MEASURES).filter((name) => known.has(name));
  if (!measures.length) { empty(card, `The tables of these runs have none of ${Object.keys(MEASURES).join(", ")}.`); return; }
  const measure = measures.includes(state.measure) ? state.measure : measures[0];
  card.controls.append(select(measures.map((one) => [one, MEASURES[one]]), measure, (value) => { state.measure = value; redraw(); }, "measure"));
  const layer = layerOf(card, given, tablesOf(given, "memory"));
  const cell = cellOf(card, given, layer);
  const isLog = measure === "half_life";
  const scaled = (value) => (isLog ? log(value) : Number.isFinite(value) ? value : null);
  const all = having.map((line) => {
    const at = new Map(), asked = [];
    for (const one of line.runs) {
      const found = tables.of(one.run).memory;
      if (!found) continue;
      for (const moment of found.at.keys()) {
        const { rows } = rowsAt(found, moment, layer, (row) => !cell || found.columns.cell[row] === cell);
        if (!at.has(moment)) at.set(moment, []);
        at.get(moment).push(...rows.map((row) => scaled(found.columns[measure]?.[row])));
        asked.push(...rows.map((row) => found.columns.lag?.[row]));
      }
    }
    return { line, at, asked };
  });
  const x = [...new Set(all.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
  const data = [x], drawn = [];
  for (const { line, at } of all) {
    const { stroke, dash } = strokes.get(line);
    for (const [share, name] of [[0.5, ""], [1, ", highest"], [0, ", lowest"]]) {
      data.push(x.map((one) => (at.has(one) ? quantile(at.get(one).filter((value) => value !== null), share) : null)));
      drawn.push({ label: `${line.name}${name}`, stroke: share === 1 ? `${stroke}00` : stroke, dash, width: share === 0.5 ? 2 : 0, points: share === 0.5, band: share === 0 ? [drawn.length, drawn.length + 1] : undefined });
    }
  }
  const asked = quantile(all.flatMap((one) => one.asked), 0.5);
  if (isLog && asked > 0) {
    data.push(x.map(() => Math.log10(asked)));
    drawn.push({ label: "the task's lag", stroke: "#888888", dash: [6, 4] });
  }
  new Chart(card.body, { width, height: 260, x: unit, y: cell ? `${MEASURES[measure]}, cell ${cell}` : MEASURES[measure], log: isLog, data, lines: drawn, marks: [{ x: now, dash: [1, 3] }] });
  card.csv = () => lineOf(["training", ...drawn.map((one) => (isLog ? `log10 ${one.label}` : one.label))], x.map((_, k) => data.map((values) => values[k])));
}

// The cell of the network that is drawn by itself; 0 for all of them
function cellOf(card, given, layer) {
  const { state, redraw } = given;
  const own = (found, row) => !layer || !found.columns.layer || found.columns.layer[row] === layer;
  const cells = new Set(tablesOf(given, "memory").filter((found) => has(found, "cell"))
    .flatMap((found) => found.columns.cell.filter((_, row) => own(found, row))));
  const sorted = [...cells].filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length < 2) return 0;
  const cell = cells.has(state.cell) ? state.cell : 0;
  card.controls.append(select([["0", "all: median and band"], ...sorted.map((one) => [String(one), `cell ${one}`])], String(cell),
    (value) => { state.cell = Number(value); redraw(); }, "cells"));
  return cell;
}

// ---- interventions

function whatIf(card, given) {
  const { tables, lines, now, unit } = given;
  const having = lines.filter((line) => line.runs.some((one) => tables.of(one.run).interventions));
  if (!having.length) { empty(card, `No gate was held in these runs: ${askedBy(given, ["[light,interventions]", "full"])} does.`); return; }
  const layer = layerOf(card, given, tablesOf(given, "interventions"));
  const mean = (found, what) => { const values = found.map(what).filter(Number.isFinite); return values.length ? values.reduce((a, b) => a + b, 0) / values.length : NaN; };
  const known = new Set(tablesOf(given, "interventions").filter(Boolean).flatMap((found) => found.names));
  const effects = Object.keys(EFFECTS).filter((name) => name !== "retention_carousel" || known.has(`${name}_before`));
  const head = ["runs", "gate", "held", ...effects.flatMap((name) => [`${EFFECTS[name]} before`, "after"])];
  const wanted = effects.flatMap((name) => [`${name}_before`, `${name}_after`]);
  const rows = [], moments = [];
  for (const line of having) {
    const measured = line.runs.map((one) => tables.of(one.run).interventions).filter(Boolean).flatMap((found) => {
      const last = rowsAt(found, now, layer);
      if (last.rows.length) moments.push(last.moment);
      return last.rows.map((row) => Object.fromEntries(found.names.map((name) => [name, found.columns[name][row]])));
    });
    for (const key of new Set(measured.map((one) => `${one.gate}\n${one.value}`))) {
      const [gate, value] = key.split("\n");
      const same = measured.filter((one) => one.gate === gate && one.value === value);
      rows.push([line.name, gate.replace("_", " "), value === "mean" ? "at its mean" : value, ...wanted.map((name) => mean(same, (one) => one[name]))]);
    }
  }
  if (!moments.length) { empty(card, "Not measured yet at this moment."); return; }
  card.body.append(measuredAfter(moments, unit));
  const most = strongest(rows);
  card.body.append(table(head, rows.map((row) => row.map((one, k) => {
    if (typeof one !== "number") return one;
    const text = Number.isNaN(one) ? "" : shown(one);
    return most.get(k)?.has(row) ? element("b", {}, text) : text;
  }))));
  card.csv = () => lineOf(head.map((name, k) => (name === "after" ? `${head[k - 1].replace("before", "after")}` : name)), rows);
}

// {column after: the rows that hold what changes it most}, one row for each of the runs; none where all change by less than a twentieth
function strongest(rows) {
  const found = new Map();
  for (let k = 4; k < (rows[0]?.length ?? 0); k += 2) {
    const largest = new Map();
    for (const row of rows) {
      const change = Math.abs(row[k] - row[k - 1]);
      const least = 0.05 * Math.max(Math.abs(row[k]), Math.abs(row[k - 1]));
      if (change > Math.max(largest.get(row[0])?.change ?? 0, least)) largest.set(row[0], { change, row });
    }
    found.set(k, new Set([...largest.values()].map(({ row }) => row)));
  }
  return found;
}

// ---- equations

const told = new Map();

function equations(card, given) {
  const { state, tables, lines, now, unit, redraw } = given;
  const chosen = lines.find((line) => line.name === state.equations) ?? lines[0];
  const one = chosen.runs[0];
  if (lines.length > 1)
    card.controls.append(select(lines.map((line) => [line.name, line.name]), chosen.name, (value) => { state.equations = value; redraw(); }, "runs"));
  const layer = layerOf(card, given, [tables.of(one.run).gates]);
  const cell = JSON.stringify([one.run, one.row.cell, layer]);
  // what comes later is drawn in this card alone, if it is still what the card shows
  card.arrived = (of) => { if (of === cell) { card.body.replaceChildren(); draw(told.get(cell)); } };
  if (told.get(cell)) draw(told.get(cell));
  else empty(card, "The server writes the equations …");
  if (!told.has(cell)) {
    told.set(cell, null);
    fetchJson("equations", { run: one.run, layer })
      .catch((error) => ({ reason: `The server gave no equations (${error.message}).` }))
      .then((found) => { told.set(cell, found); card.arrived(cell); });
  }

  function draw(found) {
    if (found.reason) { empty(card, found.reason); return; }
    const formula = (mathml) => {
      const made = element("span");
      made.innerHTML = mathml; // MathML that the server made of the cell's own symbols
      return made;
    };
    card.body.append(table(["value", `equation of ${chosen.name}`], found.equations.map((line) => [line.name, formula(line.mathml)])));
    const measured = chosen.runs.map((run) => tables.of(run.run).gates).filter((table) => has(table, "gate"))
      .map((table) => ({ table, ...rowsAt(table, now, layer) })).filter((last) => last.rows.length);
    if (measured.length) card.body.append(measuredAfter(measured.map((last) => last.moment), unit));
    // the mean over folded seeds
    const of = (gate, name) => {
      const values = measured.flatMap(({ table, rows }) => rows.filter((row) => table.columns.gate[row] === gate).map((row) => table.columns[name]?.[row]));
      const there = values.filter(Number.isFinite);
      return there.length ? shown(there.reduce((a, b) => a + b, 0) / there.length) : "";
    };
    card.body.append(table(["gate", "multiplies", "mean", "share near 0", "share near 1"],
      found.gates.map(({ gate, multiplies }) => [gate.replace("_", " "), formula(multiplies), of(gate, "mean"), of(gate, "near_0"), of(gate, "near_1")])));
    card.csv = () => lineOf(["gate", "mean", "near_0", "near_1"], found.gates.map(({ gate }) => [gate, of(gate, "mean"), of(gate, "near_0"), of(gate, "near_1")]));
  }
}
