"""lstmlab.audit: its numbers are those of the measures, and its page says what was measured."""

import re
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
import tensorflow as tf
from stock import B, F, N, T, compiled, sequential

import lstmlab
from lstmlab import GatedRNN, measures
from lstmlab.auditing import words
from lstmlab.auditing.summary import lags

layers = keras.layers


class Reader(HTMLParser):
    """Headings, tables and pictures of a page; tags that are left open are an error."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.headings, self.rows, self.pictures = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.pictures.append(dict(attrs)["src"])
        elif tag != "meta":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.headings.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1].append(data)


def classifier(rng) -> keras.Model:
    """Text in two layers and both directions, with an Embedding that masks."""
    embedding = layers.Embedding(9, F, mask_zero=True)
    both = layers.Bidirectional(layers.LSTM(N, return_sequences=True, name="a"))
    top = layers.Bidirectional(layers.LSTM(2, name="b"))
    dense = layers.Dense(1, "sigmoid")
    model = keras.Sequential([keras.Input((None,)), embedding, both, top, dense], name="text")
    return compiled(model, rng, "binary_crossentropy")


def texts(rng, count: int) -> tuple:
    x = rng.integers(1, 9, (count, T))
    x[::2, 3:] = 0
    return x, rng.integers(0, 2, (count, 1)).astype("float32")


def value(audit, *place) -> float:
    (found,) = (
        audit.set_index(["layer", "measure", "of", "what"]).sort_index().loc[[place], "value"]
    )
    return found


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A model, the sequences that were used, their audit, and the text of its page."""
    keras.utils.set_random_seed(1997)
    rng, path = np.random.default_rng(1997), tmp_path_factory.mktemp("audit") / "audit.html"
    model, (x, y) = classifier(rng), texts(rng, 40)
    audit = lstmlab.audit(model, x, y, path=path)
    return model, x[:32], y[:32], audit, path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_numbers_are_those_of_the_measures(audited):
    model, x, y, audit, _ = audited
    assert list(audit.columns) == ["layer", "measure", "of", "what", "value"]
    names = ["forward_a", "backward_a", "forward_b", "backward_b"]
    assert audit["layer"].unique().tolist() == names
    assert set(audit["measure"]) == {"gates", "memory", "error_flow", "gradients", "interventions"}
    assert not audit.duplicated(["layer", "measure", "of", "what"]).any()
    for row in measures.gates(model, x, y).itertuples():
        assert value(audit, row.layer, "gates", row.gate, "mean") == pytest.approx(row.mean)
    life = measures.memory(model, x, y).groupby("layer")["half_life"]
    flow = measures.error_flow(model, x, y).set_index(["layer", "path", "lag"])["norm"]
    norms = measures.gradients(model, x, y).set_index(["layer", "weight", "net"])["norm"]
    held = measures.interventions(model, x, y).set_index(["layer", "gate", "value"])
    for name in names:
        assert value(audit, name, "memory", "median", "half_life") == pytest.approx(
            life.median()[name]
        )
        for lag in (0, 1, 4):
            assert value(audit, name, "error_flow", "carousel", f"lag_{lag}") == pytest.approx(
                flow[name, "carousel", lag], rel=1e-4
            )
        assert value(audit, name, "gradients", "kernel forget_gate", "norm") == pytest.approx(
            norms[name, "kernel", "forget_gate"], rel=1e-4
        )
        row = held.loc[(name, "forget_gate", "closed")]
        assert value(
            audit, name, "interventions", "forget_gate closed", "retention"
        ) == pytest.approx(row["retention_after"], abs=1e-6)


@pytest.mark.slow
def test_the_page_is_whole_and_says_what_was_used(audited):
    *_, audit, text = audited
    page = Reader(text)
    assert page.headings[0] == "The recurrent layers of text"
    assert [one for one in page.headings if ": " in one] == [
        "forward_a: 4 cells",
        "backward_a: 4 cells",
        "forward_b: 2 cells",
        "backward_b: 2 cells",
    ]
    assert "Measured on the first 32 of 40 sequences by lstmlab" in text
    assert len(page.pictures) == 4 * 3
    assert all(one.startswith("data:image/png;base64,") for one in page.pictures)
    assert not re.search(r'(src|href)="(?!data:)|<script|@import|url\(', text)
    assert text.count(words.FLOW[:40]) == 1  # how to read the numbers is said once
    mean = value(audit, "forward_a", "gates", "forget_gate", "mean")
    assert [f"{mean:.3g}"] == [row[1] for row in page.rows if row[0] == "forget gate"][:1]
    for name in ("forward_a", "backward_b"):
        (row,) = [row for row in page.rows if row[0] == name]
        assert row[1:4:2] == [
            {"forward_a": "4", "backward_b": "2"}[name],
            f"{value(audit, name, 'memory', 'median', 'half_life'):.3g}",
        ]


@pytest.mark.slow
def test_of_a_translator_what_is_not_counted_stands_on_the_page(rng, tmp_path, capsys):
    source, target = keras.Input((None,), name="source"), keras.Input((None,), name="target")
    _, *states = layers.LSTM(N, return_state=True, name="encoder")(layers.Embedding(9, F)(source))
    decoder = layers.LSTM(N, return_sequences=True, name="decoder")
    shown = decoder(layers.Embedding(9, F)(target), initial_state=states)
    model = keras.Model([source, target], layers.Dense(9, "softmax")(shown))
    compiled(model, rng, "sparse_categorical_crossentropy")
    x = {"source": rng.integers(1, 9, (B, T)), "target": rng.integers(1, 9, (B, T + 1))}
    audit = lstmlab.audit(model, x, x["target"], path=tmp_path / "page.html")
    assert audit["layer"].unique().tolist() == ["encoder", "decoder"]
    line = (
        "encoder: errors that come back through its final states are not counted, "
        "except those through the output"
    )
    assert capsys.readouterr().err == f"audit: {line}\n"
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f"{line}." in text
    assert f"Measured on all {B} sequences" in text


@pytest.mark.slow
def test_of_a_gru_the_page_says_how_keras_calls_its_gate(rng, tmp_path):
    model = sequential(rng, layers.GRU(N, name="r"), layers.Dense(1))
    x, y = rng.normal(size=(1, T, F)), rng.normal(size=(1, 1))
    lstmlab.audit(model, x, y, path=tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert words.GRU in text
    assert "Measured on one sequence by" in text


@pytest.mark.slow
@pytest.mark.parametrize("inner", [layers.SimpleRNN, GatedRNN])
def test_of_one_step_and_of_a_layer_without_gates(inner, rng, tmp_path):
    model = sequential(rng, inner(N, name="r"), layers.Dense(1), shape=(1, F))
    x, y = rng.normal(size=(B, 1, F)), rng.normal(size=(B, 1))
    audit = lstmlab.audit(model, x, y, path=tmp_path / "page.html")
    assert ("gates" in set(audit["measure"])) == (inner is GatedRNN)
    Reader((tmp_path / "page.html").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_without_a_path_nothing_is_written(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = sequential(rng, layers.SimpleRNN(2, name="r"))
    lstmlab.audit(model, rng.normal(size=(B, T, F)), rng.normal(size=(B, 2)))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_dataset_is_read_only_as_far_as_it_is_used(rng, tmp_path):
    model, read = sequential(rng, layers.SimpleRNN(2, name="r")), []

    def batches():
        while True:
            read.append(1)
            yield rng.normal(size=(4, T, F)).astype("float32"), rng.normal(size=(4, 2))

    shapes = (tf.TensorSpec((4, T, F), "float32"), tf.TensorSpec((4, 2), "float64"))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=shapes).repeat()
    lstmlab.audit(model, dataset, sequences=6, path=tmp_path / "page.html")
    assert len(read) < 20
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Measured on the first 6 sequences of the dataset" in text


def test_what_is_refused_before_anything_is_written(rng, tmp_path):
    model = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(1))
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 1))
    plain = keras.Sequential([keras.Input((T, F)), layers.Flatten()], name="plain")
    file = tmp_path / "page.html"
    for call, text in [
        (lambda: lstmlab.audit(plain, x, y, path=file), "expected a model with at least one Gated"),
        (lambda: lstmlab.audit(model, x, y[:2], path=file), "expected as many sequences in y as"),
        (lambda: lstmlab.audit(model, x, path=file), "expected targets y beside the inputs x"),
        (lambda: lstmlab.audit(model, x, y, path=tmp_path), "expected the path of a file"),
        (
            lambda: lstmlab.audit(model, x, y, path=tmp_path / "no" / "page.html"),
            "expected a path in a folder that is there and can be written. Received: path=",
        ),
        (
            lambda: lstmlab.audit(model, x, y, sequences=0),
            "expected a positive integer. Received: sequences=0",
        ),
    ]:
        with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
            call()
        assert str(e.value).startswith(f"audit: {text}")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_words_name_what_stands_out(rng):
    model = sequential(rng, layers.LSTM(N, name="r"), layers.Dense(1))
    bias = model.layers[0].cell.bias
    bias.assign(np.repeat([-20.0, 20.0, 0.0, 0.0], N))  # never writes, never forgets
    x, y = rng.normal(size=(B, T, F)), rng.normal(size=(B, 1))
    assert words.gates(measures.gates(model, x, y)) == [
        "The input gate is shut 100% of the time.",
        "The forget gate is open 100% of the time.",
    ]
    (said,) = words.gradients(measures.gradients(model, x, y))
    assert said.endswith("of the gradient of the gate that gets most.")
    (said, *_) = words.memory(measures.memory(model, x, y), T)
    assert "0 of 4 cells have lost half of their state" in said
    bias.assign(np.repeat([0.0, -20.0, 0.0, 0.0], N))
    (said, *_) = words.memory(measures.memory(model, x, y), T)
    assert "4 of 4 cells have lost half of their state" in said
    (said,) = words.flow(measures.error_flow(model, x, y))
    assert said.startswith(f"{T - 1} steps back, ")


@pytest.mark.slow
def test_an_error_that_comes_back_through_final_states_alone_is_not_called_zero(rng, tmp_path):
    given = keras.Input((T, F))
    _, _, state = layers.LSTM(N, return_state=True, name="encoder")(given)
    model = keras.Model(given, layers.Dense(1)(state))
    model.compile("sgd", "mse")
    path = tmp_path / "page.html"
    lstmlab.audit(model, rng.normal(size=(B, T, F)), rng.normal(size=(B, 1)), path=path)
    page = path.read_text()
    assert "Not measured: no error comes back through the outputs of this layer." in page
    (row,) = (row for row in Reader(page).rows if row[:1] == ["encoder"])
    assert row[4] == "not measured"


def test_lags_that_are_shown():
    import pandas as pd

    assert lags(pd.DataFrame({"lag": range(10)})) == [0, 1, 2, 4, 8, 9]
    assert lags(pd.DataFrame({"lag": range(9)})) == [0, 1, 2, 4, 8]
    assert lags(pd.DataFrame({"lag": [0]})) == [0]
