// Lines of the charts: single runs, or the seeds of one setting together.

// of Okabe and Ito 2008, told apart by those who do not see all colours; brighter ones for those too dark for a dark ground
const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8b6d00", "#7f7f7f", "#a6517d", "#2f4b7c"];
const BRIGHTER = { "#0072b2": "#3f9fe0", "#d55e00": "#f07f2e", "#009e73": "#1fc397", "#8b6d00": "#c2a23a", "#7f7f7f": "#a8a8a8", "#a6517d": "#d07fab", "#2f4b7c": "#8aa6dc" };

// The colour of the k-th line on the ground that the page has now
export function ink(k) {
  const colour = PALETTE[k % PALETTE.length];
  return document.body.classList.contains("dark") ? BRIGHTER[colour] ?? colour : colour;
}

export function nameOf(one, varied, seed = true) {
  const row = one.row;
  const words = [row.task, row.cell, row.learner].filter((word) => word !== undefined);
  for (const key of varied) if (row[key] !== undefined) words.push(`${key.split(".").slice(1).join(".")}=${row[key]}`);
  if (!words.length) return placeOf(one);
  return seed && row.seed !== undefined ? `${words.join(" ")} s${row.seed}` : words.join(" ");
}

export const placeOf = (one) => (one.run === "." ? "this folder" : one.run);

// [[run, what it is called among these]], without the words that all have
export function labels(runs, varied) {
  const named = shortened(runs.map((one) => ({ name: nameOf(one, varied), one })));
  const twice = (name) => named.filter((other) => other.name === name).length > 1;
  return named.map(({ name, one }) => [one.run, twice(name) ? `${name} (${placeOf(one)})` : name]);
}

// [{name, runs}], in the order of the list
export function chosenLines(state) {
  const lines = new Map();
  for (const one of state.runs) {
    if (!state.chosen.has(one.run)) continue;
    const known = one.row.seed !== undefined;
    const name = nameOf(one, state.varied, !state.fold || !known);
    const key = state.fold && known ? name : `${name}\n${one.run}`;
    if (!lines.has(key)) lines.set(key, { name, runs: [] });
    lines.get(key).runs.push(one);
  }
  return shortened([...lines.values()]);
}

// Without the words that all lines have
function shortened(lines) {
  if (lines.length < 2) return lines;
  const words = lines.map((line) => line.name.split(" "));
  const common = words[0].filter((word) => words.every((one) => one.includes(word)));
  return lines.map((line, k) => ({ ...line, name: words[k].filter((word) => !common.includes(word)).join(" ") || line.name }));
}

// line -> {stroke, dash}, and run -> {stroke, dash}: once the colours are used up, lines are dashed
export function strokes(lines) {
  const found = new Map();
  lines.forEach((line, k) => {
    const one = { stroke: ink(k), dash: dashed(Math.floor(k / PALETTE.length)) };
    for (const key of [line, ...line.runs.map(({ run }) => run)]) found.set(key, one);
  });
  return found;
}

// One more dot between the dashes in each round through the colours
const dashed = (round) => (round ? [14, 4, ...Array(2 * (round - 1)).fill(3)] : undefined);

export const quantile = (values, share) => {
  const sorted = values.filter((one) => Number.isFinite(one)).sort((a, b) => a - b);
  if (!sorted.length) return null;
  const place = (sorted.length - 1) * share;
  const low = Math.floor(place);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (place - low);
};
