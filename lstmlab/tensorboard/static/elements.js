// Elements of the page; whatever is given as text becomes a text node.

export function element(name, settings = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(settings)) {
    if (value === null || value === undefined) continue;
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function table(head, rows) {
  const cell = (name) => (content) => {
    const made = element(name);
    made.append(content instanceof Node ? content : String(content ?? ""));
    return made;
  };
  return element("table", { className: "told" },
    element("thead", {}, element("tr", {}, ...head.map(cell("th")))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell("td"))))));
}

export function select(choices, chosen, change, label) {
  const made = element("select", { "aria-label": label, onchange: (event) => change(event.target.value) },
    ...choices.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  return element("label", {}, `${label} `, made);
}
