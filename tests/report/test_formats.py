"""The report as text for a terminal, Markdown, LaTeX, HTML and pictures."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lstmlab import report
from lstmlab.report import bands, formats, html, pictures
from lstmlab.report.sections import Section
from lstmlab.results import Run

BASE = {
    "task": "adding",
    "cell": "lstm1997",
    "learner": "truncated1997",
    "seed": 0,
    "status": "solved",
    "reason": None,
    "sequences": 50_000,
    "sequences_to_solution": 40_000,
    "test_wrong": 1,
    "test_size": 2560,
    "test_loss": 0.0125,
    "chance_loss": 0.04,
    "memoryless_loss": 0.03,
    "seconds": 10.0,
    "published_sequences": 76_000,
    "published_source": "Table 7",
    "trainer.budget": 100_000,
    "task.T": 100,
    "optimizer.learning_rate": 0.5,
    "cell.block_size": 2,
}
UNSOLVED = {"status": "budget", "sequences": 100_000, "sequences_to_solution": None}


@pytest.fixture
def sweep(tmp_path):
    return made_up(tmp_path)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A sweep with its report, and what was printed."""
    folder = made_up(tmp_path_factory.mktemp("written"))
    return folder, report.write(folder)


def made_up(tmp_path):
    """Two cells at two lags, four seeds of each, and a run that cannot be read."""
    number = 0
    for cell, block, speed in (("lstm1997", 2, 1), ("vanilla", 1, 2)):
        for lag in (100, 200):
            for seed in range(4):
                n = speed * lag * 150 + 1000 * seed
                solved = {"sequences": n, "sequences_to_solution": n - 300}
                change = solved if n < 60_000 else UNSOLVED
                run = Run(tmp_path / f"{number}-adding")
                run.folder.mkdir()
                cells = {"cell": cell, "cell.block_size": block}
                run.write_row({**BASE, **change, **cells, "task.T": lag, "seed": seed})
                history = {"sequences": [5000, 10_000], "absolute_error": [0.2, 0.1 / (seed + 1)]}
                run.append("history", pd.DataFrame(history))
                number += 1
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "result.json").write_text("{")
    return tmp_path


FILES = {"report.md", "report.csv", "report.tex", "report.html", "report.png", "report.svg"}
FILES |= {"curves.png", "curves.svg"}


def test_every_file_and_every_part(written):
    sweep, text = written
    assert {path.name for path in sweep.iterdir() if path.is_file()} == FILES
    titles = ["Settings", "Compared on equal seeds", "Ladders", "What else differs"]
    parts = [
        line[3:] for line in (sweep / "report.md").read_text().split("\n") if line[:3] == "## "
    ]
    assert parts == [*titles, "Notes"]
    lines = text.splitlines()
    assert [line for line in lines if line.partition(" (")[0] in titles]
    assert "unreadable: " in text


def test_the_terminal_has_100_columns(written):
    parts = written[1].partition("Runs that did not finish")[0]
    assert max(map(len, parts.splitlines())) <= 100


def test_every_line_says_how_many_trials_it_stands_on(written):
    sweep, _ = written
    parts = re.split(r"^## ", (sweep / "report.md").read_text(), flags=re.M)[1:4]
    counts = []
    for part in parts:
        names, _, *lines = [line.split("|")[1:-1] for line in part.splitlines() if line[:1] == "|"]
        [column] = [k for k, name in enumerate(names) if name.strip() in ("trials", "seeds")]
        counts.append([line[column].strip() for line in lines])
    assert counts == [["4"] * 4, ["4"] * 2, ["8"] * 2]


def test_what_is_said_of_the_sweep_by_hand(written):
    sweep, _ = written
    text = (sweep / "report.md").read_text()
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    [slow] = [line for line in lines if line[:4] == ["adding", "vanilla", "truncated1997",
                                                     "task.T=200"]]  # fmt: skip
    assert slow[4:6] == ["4", "0 (0%; 0%-49%)"]
    [fast] = [line for line in lines if line[:4] == ["adding", "lstm1997", "truncated1997",
                                                     "task.T=100"]]  # fmt: skip
    # 14,700, 15,700, 16,700, 17,700
    assert fast[6].startswith("16,200 (")
    assert fast[6].endswith(" of 17,700")
    assert fast[7].startswith("15,700 (")
    compared = [line for line in lines if line[:1] == ["adding, task.T=100"]]
    # the same seeds, 15,000 later each: nothing varies, and 2 of 16 exchanges are as extreme
    assert compared == [
        ["adding, task.T=100", "lstm1997", "vanilla", "4", "4, 0", "-15,000 (-15,000 to -15,000)",
         "32,700", "", "0.12", "0.12", "0.25"]
    ]  # fmt: skip
    assert [
        "adding",
        "lstm1997, truncated1997",
        "task.T",
        "200",
        "0",
        "8",
        "100: 4/4, 200: 4/4",
    ] in (lines)
    assert ["adding", "cell.block_size", "no", "2 (8 runs), 1 (8 runs)"] in lines


@pytest.mark.parametrize("by", [(), ("cell",), ("cell", "task.T")])
def test_runs_without_a_row_are_no_line_of_a_picture(sweep, monkeypatch, by):
    drawn, of_trials = [], pictures.of_trials

    def watched(lines, path):
        drawn.extend(lines)
        return of_trials(lines, path)

    monkeypatch.setattr(pictures, "of_trials", watched)
    report.write(sweep, by)
    assert drawn
    assert all(len(trials) for _, trials, _ in drawn), [label for label, _, _ in drawn]


def test_by_columns(sweep):
    text = report.write(sweep, ["cell"])
    table = pd.read_csv(sweep / "report.csv").set_index("cell")
    assert table["trials"].to_dict() == {"?": 0, "lstm1997": 8, "vanilla": 8}
    assert table["solved"].to_dict() == {"?": 0, "lstm1997": 8, "vanilla": 4}
    assert "yes" in text, "the lags are mixed within a line"


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["lstmlab-report", *map(str, arguments)])
    report.main()


def test_the_command_takes_columns_and_a_line(sweep, monkeypatch, capsys):
    command(monkeypatch, sweep, "--by", "task.T, cell", "--against", "vanilla")
    assert "first vanilla" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--by", "task.t"],
            r"a column of the result rows \(nearest: task.T, task\). Received: by='task.t'",
        ),
        (["--against", "gru"], r"a piece of one of: .*vanilla.* Received: against='gru'"),
    ],
)
def test_what_does_not_exist_costs_one_line_and_no_file(sweep, monkeypatch, arguments, message):
    with pytest.raises(SystemExit, match=f"^lstmlab-report: .*expected {message}") as error:
        command(monkeypatch, sweep, *arguments)
    assert "\n" not in str(error.value)
    assert not FILES & {path.name for path in sweep.iterdir()}


def test_nothing_but_broken_rows(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text("[]")
    text = report.write(tmp_path)
    assert text.count("- unreadable: ") == 2
    assert not (tmp_path / "curves.png").exists()


# ---- text

LONG = Section(
    "A title",
    pd.DataFrame(
        {
            "task": ["adding", "adding"],
            "cell": ["a name " * 20, "x_" * 60],
            "trials": ["1", "2"],
            **{f"a column {k}": ["1,234,567 (1-9)", ""] for k in range(12)},
            "empty": ["", ""],
            "long": ["word " * 60, "b"],
        }
    ),
    2,
    "A note",
)


def test_long_names_and_many_columns_have_room():
    text = formats.terminal(LONG)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0] == "A title (task adding)"
    assert "empty" not in text
    assert text.count("1,234,567 (1-9)") == 12
    assert text.count("word") == 60
    assert "x_" * 60 in re.sub(r"[^x_]", "", text)


def test_latex_escapes_and_has_rules():
    [row] = [{"name": "a_b & 5 % {x}", "trials": "3"}]
    text = formats.latex([Section("T", pd.DataFrame([row]), 1, "50 % of a_b")])
    assert "\\caption{50 \\% of a\\_b}" in text
    assert "a\\_b \\& 5 \\%" in text
    assert [rule for rule in ("\\toprule", "\\midrule", "\\bottomrule") if rule not in text] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(sweep, tmp_path_factory):
    report.write(sweep)
    folder = tmp_path_factory.mktemp("tex")
    (folder / "try.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs,graphicx}\\begin{document}"
        f"\\input{{{sweep}/report.tex}}\\end{{document}}"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "try.tex"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (folder / "try.pdf").exists()


def test_markdown_of_a_bar():
    text = formats.markdown(Section("T", pd.DataFrame([{"a": "x|y"}]), 1, "N"))
    assert "x\\|y" in text


# ---- the page


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.open += [tag] if tag not in ("meta", "img", "input") else []
        self.addresses += [value for name, value in attributes if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(written):
    sweep, _ = written
    text = (sweep / "report.html").read_text()
    page = Page(text)
    assert page.open == []
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert "default-src 'none'" in text
    assert "http:" not in text
    assert "https:" not in text
    assert page.tags.count("table") == 5
    assert text.count("<tr><td>") == 4 + 2 + 2 + 1 + 17


def test_the_page_shows_names_as_they_are():
    evil = "<script>alert('x')</script>"
    rows = pd.DataFrame([{"run": evil, "task": evil, "status": "solved", "seed": 1}])
    text = html.page(evil, [Section(evil, pd.DataFrame([{evil: evil}]), 1, evil)], evil, rows, [])
    assert evil not in text
    assert text.count("&lt;script&gt;") == 9


# ---- pictures


@pytest.mark.slow
def test_pictures_are_the_same_twice(sweep):
    report.write(sweep)
    before = {name: (sweep / name).read_bytes() for name in FILES}
    report.write(sweep)
    assert {name for name in FILES if (sweep / name).read_bytes() != before[name]} == set()
    for name in ("report.svg", "curves.svg"):
        assert ET.fromstring(before[name]).tag.endswith("svg")


def test_a_band_by_hand(written):
    """Errors 0.1, 0.05, 0.0333, 0.025 of four seeds at the end."""
    sweep, _ = written
    runs = [str(sweep / f"{k}-adding") for k in range(12, 16)]
    trials = pd.DataFrame([{"run": run, **Run(run).read_row()} for run in runs])
    band = bands.band(trials)
    assert band.sequences.tolist() == [5000, 10_000]
    assert band.trials == 4
    errors = np.array([0.1, 0.05, 0.1 / 3, 0.025])
    for found, share in ((band.low, 25), (band.middle, 50), (band.high, 75)):
        np.testing.assert_allclose(found, [0.2, np.percentile(errors, share)])


def test_no_history_no_band():
    assert bands.band(pd.DataFrame([{"run": "nowhere", **BASE}])) is None


def test_groups_beyond_ten_are_counted(sweep, monkeypatch):
    kept = []
    monkeypatch.setattr(bands, "save_both", lambda figure, path: kept.append(figure) or path)
    trials = pd.DataFrame([{"run": str(sweep / "0-adding"), **BASE}])
    bands.draw([(f"g{k}", trials) for k in range(12)], sweep / "x.png")
    [legend] = kept[0].legends
    assert len(legend.get_texts()) == 10
    assert legend.get_texts()[0].get_text() == "g0 (1 trials)"
    assert legend.get_title().get_text() == "the first 10 groups; 2 more are not drawn"


MANY = ", ".join(f"cell.candidate_bias.setting_{k}=lstmlab.cells.Staggered" for k in range(9))


def test_no_name_in_a_picture_is_cut_off(sweep, monkeypatch):
    kept, save_both = [], pictures.save_both

    def seen(figure, path):
        kept.append(figure)
        return save_both(figure, path)

    for room in (bands, pictures):
        monkeypatch.setattr(room, "save_both", seen)
    for path in sweep.glob("*-adding/result.json"):
        run = Run(path.parent)
        run.write_row({**run.read_row(), "cell.long": MANY if int(run.folder.name[0]) else "x"})
    report.write(sweep)
    assert len(kept) == 2
    for figure in kept:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        texts = [*figure.axes[0].get_yticklabels()]
        texts += [text for legend in figure.legends for text in legend.get_texts()]
        assert any("Staggered" in text.get_text() for text in texts)
        for text in texts:
            box = text.get_window_extent(canvas.get_renderer())
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.x1


def test_a_picture_beside_an_svg_is_as_large_as_asked_for(tmp_path):
    """The SVG has other dots per inch."""
    path = pictures.save_both(Figure(figsize=(2, 1), dpi=110), tmp_path / "one.png")
    assert path.read_bytes()[16:24] == (220).to_bytes(4, "big") + (110).to_bytes(4, "big")
    assert path.with_suffix(".svg").exists()
