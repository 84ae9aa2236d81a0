"""The report as one HTML page: tables that sort and filter, pictures; nothing from outside."""

import base64
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

import pandas as pd

from lstmlab.report.sections import Section
from lstmlab.report.statistics import differing

COLUMNS = (
    "run",
    "task",
    "cell",
    "learner",
    "seed",
    "status",
    "sequences",
    "sequences_to_solution",
    "test_wrong",
    "test_error",
    "test_loss",
    "seconds",
)
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5em auto; max-width: 78em; padding: 0 1em;
  color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin: 1.8em 0 .4em; }
p { max-width: 60em; color: #555; } img { max-width: 100%; }
.wide { overflow-x: auto; max-height: 80vh; }
table { border-collapse: collapse; font-size: .88em; width: max-content; }
td { max-width: 32em; }
th, td { padding: .3em .7em; text-align: left; border-bottom: 1px solid #ddd; vertical-align: top; }
th { position: sticky; top: 0; background: #f3f3f3; padding: 0; }
th button { font: inherit; font-weight: 600; border: 0; background: none; padding: .3em .7em;
  cursor: pointer; text-align: left; width: 100%; }
th[aria-sort=ascending] button::after { content: " \\25b2"; }
th[aria-sort=descending] button::after { content: " \\25bc"; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
input { font: inherit; padding: .2em .5em; margin: .2em .6em .5em 0; width: 20em; }
"""
SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], all = [...body.rows], box = document.createElement("input");
  const count = document.createElement("span"), heads = [...table.tHead.rows[0].cells];
  box.type = "search"; box.placeholder = "filter: words, all of them";
  box.setAttribute("aria-label", "filter");
  table.parentNode.before(box, count);
  const texts = all.map(row => row.textContent.toLowerCase());
  const filter = () => {
    const words = box.value.toLowerCase().split(/\\s+/);
    let shown = 0;
    all.forEach((row, k) => {
      row.hidden = !words.every(word => texts[k].includes(word));
      shown += !row.hidden;
    });
    count.textContent = `${shown} of ${all.length}`;
  };
  box.addEventListener("input", filter);
  filter();
  heads.forEach((head, column) => head.firstChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
    const key = row => row.cells[column].textContent;
    const number = text => parseFloat(text.replace(/,/g, ""));
    const rows = all.map(row => [key(row), number(key(row)), row]);
    const empty = text => text === "";
    rows.sort(([a, x], [b, y]) => empty(a) - empty(b)  // what is not known comes last
      || down * (isNaN(x) || isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y));
    body.append(...rows.map(([, , row]) => row));
  }));
}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(
    title: str,
    sections: Sequence[Section],
    notes: str,
    rows: pd.DataFrame,
    pictures: Sequence[tuple[str, Path]],
) -> str:
    """Return the page.

    Args:
        title: What it is about.
        sections: The parts of the report.
        notes: What `tables.notes` says, Markdown.
        rows: As `results.load` returns them; all are listed.
        pictures: A caption and an SVG file for each picture.
    """
    parts = [_section(one.title, one.table.astype(str), one.note) for one in sections]
    parts += [_picture(caption, path) for caption, path in pictures]
    told = "".join(f"<p>{escape(line)}</p>" for line in notes.splitlines() if line)
    parts.append(f"<h2>Notes</h2>{told}")
    parts.append(_section(f"All {len(rows):,} runs", _runs(rows), ""))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n" + "\n".join(parts) + f"\n<script>{SCRIPT}</script>"
        "</body></html>\n"
    )


def _section(title: str, table: pd.DataFrame, note: str) -> str:
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(str(name))}</button></th>' for name in table
    )
    body = "\n".join(
        "<tr>" + "".join(map(_cell, line)) + "</tr>" for line in table.itertuples(index=False)
    )
    about = f"<p>{escape(note)}</p>" if note else ""
    return (
        f'<h2>{escape(title)}</h2>{about}<div class="wide"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(text: str) -> str:
    number = bool(re.match(r"[+-]?\d", text))
    return f'<td class="n">{escape(text)}</td>' if number else f"<td>{escape(text)}</td>"


def _picture(caption: str, path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:image/svg+xml;base64,{data}"
    return f'<h2>{escape(caption)}</h2><img alt="{escape(caption)}" src="{source}">'


def _runs(rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of all runs that people read, and the settings that differ, as text."""
    columns = [name for name in COLUMNS if name in rows]
    columns += [name for name in differing(rows) if name not in columns]
    columns += ["reason"] if "reason" in rows and rows["reason"].notna().any() else []
    return pd.DataFrame({name: [_text(value) for value in rows[name]] for name in columns})


def _text(value: object) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
