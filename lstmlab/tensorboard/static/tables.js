// Tables of runs: csv as the server gives it, kept until their files change.

const NAMES = ["gates", "example", "error_flow", "bound", "memory", "interventions", "gradients"];

export const addressOf = (path, query = {}) => new URL(`${path}?${new URLSearchParams(query)}`, import.meta.url);

export async function fetchJson(path, query) {
  const answer = await fetch(addressOf(path, query));
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.json();
}

export class Tables {
  constructor() { this.kept = new Map(); }

  // Fetch what is new of the runs' tables
  async load(runs) {
    const wanted = runs.flatMap((one) => NAMES.filter((name) => one.tables[name]).map((name) => [one.run, name, one.tables[name]]));
    const fresh = wanted.filter(([run, name, stamp]) => this.kept.get(`${run}\n${name}`)?.stamp !== stamp);
    await Promise.all(fresh.map(async ([run, name, stamp]) => {
      try {
        const answer = await fetch(addressOf("table", { run, name }));
        if (answer.ok) this.kept.set(`${run}\n${name}`, { stamp, table: parsed(await answer.text()) });
      } catch { /* the server is asked again at the next look */ }
    }));
  }

  of(run) {
    const found = {};
    for (const name of NAMES) {
      const one = this.kept.get(`${run}\n${name}`);
      if (one) found[name] = one.table;
    }
    return found;
  }
}

// {names, columns: {name: values}, at: Map of moment -> rows, moments}; what is a number becomes one, and
// what is empty is not there: NaN, except among words
export function parsed(text) {
  const lines = split(text);
  const names = lines.shift() ?? [];
  const columns = Object.fromEntries(names.map((name, k) => [name, column(lines.map((line) => number(line[k])))]));
  const at = new Map();
  lines.forEach((line, row) => {
    const moment = number(line[0]);
    if (!at.has(moment)) at.set(moment, []);
    at.get(moment).push(row);
  });
  return { names, columns, at, moments: [...at.keys()].filter(Number.isFinite).sort((a, b) => a - b) };
}

function split(text) {
  if (!text.includes('"')) return text.split("\n").filter(Boolean).map((line) => line.split(","));
  return text.split("\n").filter(Boolean).map((line) => {
    const found = [];
    for (const [, quoted, plain] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g))
      found.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    return found;
  });
}

const number = (text = "") => {
  if (text === "inf" || text === "-inf") return text === "inf" ? Infinity : -Infinity;
  return text === "" || Number.isNaN(Number(text)) ? (text === "nan" ? NaN : text) : Number(text);
};

function column(values) {
  const words = values.some((value) => typeof value === "string" && value !== "");
  return words ? values : values.map((value) => (value === "" ? NaN : value));
}

// The columns that a layer has: of several layers, a table has those of the widest
export function columnsOf(table, layer) {
  if (!table.columns.layer) return table.names;
  const there = (value, row) => table.columns.layer[row] === layer && value !== "" && !Number.isNaN(value);
  return table.names.filter((name) => table.columns[name].some(there));
}

// All moments of training at which anything was measured
export function moments(all) {
  const found = new Set();
  for (const tables of all)
    for (const name of ["gates", "example", "error_flow", "memory", "interventions"])
      for (const moment of tables[name]?.moments ?? []) found.add(moment);
  return [...found].sort((a, b) => a - b);
}

// What the moments of training count: the first column of a run's tables
export const counted = (all) =>
  (all.some((tables) => Object.values(tables).some((table) => table.names[0] === "step")) ? "optimizer steps" : "training sequences");

// The rows of the last measurement up to a moment, of one layer, that fit; a table may be half-written
export function rowsAt(table, now, layer = "", fits = () => true) {
  const own = (row) => (!layer || !table.columns.layer || table.columns.layer[row] === layer) && fits(row);
  for (let k = table.moments.length - 1; k >= 0; k -= 1) {
    const moment = table.moments[k];
    const rows = moment <= now ? table.at.get(moment).filter(own) : [];
    if (rows.length) return { moment, rows };
  }
  return { moment: undefined, rows: [] };
}
