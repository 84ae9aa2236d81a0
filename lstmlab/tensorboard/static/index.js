// The page Gates: the list of runs at the left, what was measured of the chosen ones at the right.
// Text from runs only ever becomes text nodes; the one exception is MathML of the server's own.

import { element } from "./elements.js";
import { Tables, fetchJson, moments, counted } from "./tables.js";
import { chosenLines, nameOf, placeOf, strokes } from "./lines.js";
import { cards } from "./cards.js";

const EVERY = 10_000; // milliseconds between two looks at the disk, more where a look takes long
const SHOWN = 300; // lines of the list that are drawn; a filter finds the others

const state = {
  runs: [], varied: [], chosen: new Set(), filter: "", sort: "", up: true, fold: true,
  moment: 1, playing: false, heat: false, path: "", measure: "half_life", layer: "", cell: 0, equations: "",
};
const tables = new Tables();
const view = {};

export function render() {
  const style = ["uplot.css", "page.css"].map((name) =>
    element("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href }));
  document.head.append(...style);
  document.body.replaceChildren(build());
  dark();
  subscripts();
  again();
}

// A look at the disk, and the next one when ten times the time of this one is over
async function again() {
  const begun = performance.now();
  if (!document.hidden || !state.runs.length) await look();
  setTimeout(again, Math.max(EVERY, 10 * (performance.now() - begun)));
}

// Without a font for mathematics, browsers may leave subscripts on the line: the style sheet lowers them
function subscripts() {
  const tried = new DOMParser().parseFromString("<math><msub><mi>s</mi><mi>t</mi></msub></math>", "text/html").querySelector("math");
  document.body.append(tried);
  const [base, below] = [...tried.querySelectorAll("mi")].map((one) => one.getBoundingClientRect().bottom);
  tried.remove();
  document.body.classList.toggle("flat", below - base < 1);
}

// TensorBoard's own dark mode, or else the browser's
function dark() {
  let outer = null;
  try { outer = window.parent === window ? null : window.parent.document.body; } catch { outer = null; }
  const asked = window.matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    const own = outer ? outer.classList.contains("dark-mode") : asked.matches;
    if (document.body.classList.contains("dark") === own && document.body.dataset.theme) return;
    document.body.dataset.theme = "set";
    document.body.classList.toggle("dark", own);
    if (state.runs.length) { list(); draw(); }
  };
  if (outer) new MutationObserver(set).observe(outer, { attributeFilter: ["class"] });
  asked.addEventListener("change", set);
  set();
}

function build() {
  view.filter = element("input", {
    type: "search", placeholder: "filter: words that a run has, as vanilla bptt", "aria-label": "filter runs",
    oninput: (event) => { state.filter = event.target.value; list(); },
  });
  view.fold = element("input", { type: "checkbox", checked: true, onchange: (event) => { state.fold = event.target.checked; list(); choose(); } });
  view.count = element("p", { className: "note" });
  view.list = element("div", { className: "list" });
  view.slider = element("input", {
    type: "range", min: 0, max: 1, step: 1, value: 1, "aria-label": "moment of training",
    oninput: (event) => { state.moment = Number(event.target.value); draw(); },
  });
  view.when = element("output");
  view.play = element("button", { type: "button", onclick: play }, "play");
  view.cards = element("div", { className: "cards" });
  view.right = element("section", { hidden: true },
    element("div", { className: "time" }, view.play, view.slider, view.when), view.cards);
  view.none = element("section", { hidden: true, className: "none" },
    element("h2", {}, "No runs below this log folder yet"),
    element("p", {}, "Two ways to get one here; this page looks again by itself."),
    element("p", {}, "A run of the laboratory, or a sweep: ", element("code", {}, "lstmlab outputs=FOLDER"), ", ",
      element("code", {}, "lstmlab -m cell=lstm1997,vanilla outputs=FOLDER")),
    element("p", {}, "Your own Keras model: ",
      element("code", {}, 'model.fit(x, y, callbacks=[lstmlab.diagnostics.GateTensorBoard("FOLDER/run1", probe=(x[:32], y[:32]))])')));
  return element("main", {},
    element("aside", {},
      element("h1", {}, "Runs"), view.filter,
      element("label", {}, view.fold, " fold seeds of one setting into one line with a band"),
      element("div", { className: "buttons" },
        element("button", { type: "button", onclick: () => pick(true) }, "all shown"),
        element("button", { type: "button", onclick: () => pick(false) }, "none")),
      view.count, view.list),
    view.right, view.none);
}

// ---- the list

async function look() {
  let found;
  try {
    found = await fetchJson("runs");
  } catch (error) {
    view.count.textContent = `The server does not answer (${error.message}); trying again.`;
    return;
  }
  const first = !state.runs.length;
  const before = JSON.stringify(state.runs.filter((one) => state.chosen.has(one.run)));
  state.varied = found.varied;
  state.runs = found.runs.sort((a, b) => byName(nameOf(a, state.varied), nameOf(b, state.varied)));
  const known = new Set(found.runs.map((one) => one.run));
  state.chosen.forEach((run) => known.has(run) || state.chosen.delete(run));
  if (first || !state.chosen.size) atFirst();
  list();
  if (first || before !== JSON.stringify(state.runs.filter((one) => state.chosen.has(one.run)))) choose();
}

// At first: at most three settings that have something to show, of other cells before others of one cell
function atFirst() {
  const settings = new Map(), ofCell = new Map();
  for (const one of state.runs.filter(({ tables }) => Object.keys(tables).length)) {
    const name = nameOf(one, state.varied, false);
    if (!settings.has(name)) {
      const cell = one.row.cell;
      ofCell.set(cell, (ofCell.get(cell) ?? 0) + 1);
      settings.set(name, { rank: ofCell.get(cell), runs: [] });
    }
    settings.get(name).runs.push(one.run);
  }
  const first = [...settings.values()].sort((a, b) => a.rank - b.rank).slice(0, 3);
  for (const run of first.flatMap(({ runs }) => runs).slice(0, 60)) state.chosen.add(run);
}

function columns() {
  const always = ["task", "cell", "learner", "seed", "status", "sequences_to_solution"];
  const several = (key) => new Set(state.runs.map((one) => String(one.row[key] ?? ""))).size > 1;
  const known = always.filter((key) => state.runs.some((one) => one.row[key] !== undefined));
  const told = known.filter((key) => !["task", "cell", "learner"].includes(key) || several(key) || known.length < 5);
  return [...told, ...state.varied];
}

function shown() {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (one) => {
    const text = `${one.run} ${Object.entries(one.row).map(([key, value]) => `${key}=${value} ${value}`).join(" ")}`.toLowerCase();
    return words.every((word) => text.includes(word));
  };
  if (!state.sort) return state.runs.filter(fits);
  const value = (one) => (state.sort === "run" ? one.run : one.row[state.sort]);
  const order = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const least = typeof x === "number" && typeof y === "number" ? x - y : byName(String(x), String(y));
    return state.up ? least : -least;
  };
  return state.runs.filter(fits).sort(order);
}

function list() {
  const all = shown();
  const names = columns();
  const stroke = strokes(chosenLines(state));
  const head = ["", ...names, "run"].map((name) => element("th", {
    onclick: name ? () => { state.up = state.sort === name ? !state.up : true; state.sort = name; list(); } : null,
    title: name,
  }, short(name) + (state.sort === name ? (state.up ? " ▲" : " ▼") : "")));
  const lines = all.slice(0, SHOWN).map((one) => {
    const box = element("input", {
      type: "checkbox", checked: state.chosen.has(one.run), "aria-label": `show ${one.run}`,
      onchange: (event) => { state.chosen[event.target.checked ? "add" : "delete"](one.run); list(); choose(); },
    });
    const dot = element("span", { className: "dot" });
    const known = stroke.get(one.run);
    dot.style.borderColor = known?.stroke ?? "transparent";
    dot.style.background = known && !known.dash ? known.stroke : "transparent";
    return element("tr", {}, element("td", {}, box, dot),
      ...names.map((name) => element("td", {}, value(one.row[name]))), element("td", { title: placeOf(one) }, placeOf(one)));
  });
  view.list.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines)));
  const more = all.length > SHOWN ? `, the first ${SHOWN} listed` : "";
  view.count.textContent = state.runs.length
    ? `${all.length} of ${state.runs.length} runs${more}; ${state.chosen.size} chosen`
    : "No runs yet.";
  view.none.hidden = state.runs.length > 0;
}

function pick(all) {
  shown().slice(0, SHOWN).forEach((one) => state.chosen[all ? "add" : "delete"](one.run));
  list();
  choose();
}

const byName = (a, b) => a.localeCompare(b, "en", { numeric: true });
const short = (name) => ({ sequences_to_solution: "solved after" })[name] ?? name.replace(/^(cell|task|learner|optimizer|trainer|head)\./, "");
const value = (one) => (one === undefined ? "" : typeof one === "number" ? one.toLocaleString("en", { maximumSignificantDigits: 6 }) : String(one));

// ---- the moment of training

async function choose() {
  const chosen = state.runs.filter((one) => state.chosen.has(one.run));
  await tables.load(chosen);
  state.moments = moments(chosen.map((one) => tables.of(one.run)));
  const last = Math.max(state.moments.length - 1, 0);
  const stays = Number(view.slider.value) < Number(view.slider.max) ? Math.min(state.moment, last) : last;
  view.slider.max = last;
  view.slider.value = state.moment = stays;
  draw();
}

function play() {
  state.playing = !state.playing;
  view.play.textContent = state.playing ? "pause" : "play";
  if (state.playing && state.moment >= state.moments.length - 1) state.moment = -1;
  const step = () => {
    if (!state.playing) return;
    if (state.moment >= state.moments.length - 1) { play(); return; }
    view.slider.value = state.moment += 1;
    draw();
    setTimeout(step, 500);
  };
  step();
}

function draw() {
  view.right.hidden = !state.runs.length;
  const now = state.moments?.[state.moment];
  const lines = chosenLines(state);
  const unit = counted(lines.flatMap((line) => line.runs).map((one) => tables.of(one.run)));
  view.when.textContent = now === undefined ? "" : `after ${now.toLocaleString("en")} ${unit}`;
  cards(view.cards, { state, tables, lines, now, unit, strokes: strokes(lines), redraw: draw });
}
