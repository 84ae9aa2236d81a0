"""LearnerComparison: learners of known reach see the lags they should; nothing is disturbed."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from composed import run
from event_files import events, scalars
from hydra.utils import instantiate
from oracles import randomize

from lstmlab import Head, Recurrent, variant
from lstmlab.config import compose as composed
from lstmlab.diagnostics import LearnerComparison, Probe
from lstmlab.diagnostics.common.vectors import angle
from lstmlab.learners import BPTT, RTRL, Elman, RandomGuessing, Truncated1997, TruncatedBPTT
from lstmlab.learners.base import GradientLearner, Traits
from lstmlab.recording.board import Board
from lstmlab.results import Run

B, T, F, N, K = 3, 8, 2, 4, 2
LAST = np.array([6, 3, 5])  # of each sequence; padding follows
LAGS = [1, 2, 4, 7]
COLUMNS = [
    "learner",
    "weight",
    "lag",
    "angle",
    "norm",
    "exact_norm",
    "ratio",
    "angle_spread",
    "angle_of_mean",
    "ratio_of_mean",
]


def problem(rng, cell="vanilla", dtype="float64", **overrides):
    model = Recurrent(
        variant(cell, units=N, dtype=dtype, **overrides), Head(K, "sigmoid", dtype=dtype), BPTT(), F
    )
    for layer in (model.cell, model.head):
        randomize(layer, rng)
    w = (rng.uniform(0.5, 2.0, size=(B, T)) * (np.arange(T) <= LAST[:, None])).astype(dtype)
    w[:, 1] = 0.0
    return model, Probe(
        rng.normal(size=(B, T, F)).astype(dtype),
        rng.normal(size=(B, T, K)).astype(dtype),
        w,
        w > 0,
        w > 0,
    )


def measured(model, probe, *learners, **settings) -> pd.DataFrame:
    return LearnerComparison({type(one).__name__: one for one in learners}, **settings).measure(
        model, probe
    )


def at(table: pd.DataFrame, *lags) -> pd.DataFrame:
    return table[table["lag"].isin(lags)]


class Halved(GradientLearner):
    """A learner that draws: half the exact gradient, with a vector at right angles of the same
    length added or subtracted.
    """

    traits = Traits(stochastic=True)

    def __init__(self):
        self.sign = 1

    def gradients(self, cell, head, x, y, w, states=None):
        loss, prediction, exact = BPTT().gradients(cell, head, x, y, w, states)
        self.sign = -self.sign
        return loss, prediction, [0.5 * (g + self.sign * aside(g)) for g in exact]


class Refusing(GradientLearner):
    def gradients(self, cell, head, x, y, w, states=None):
        raise AssertionError("not to be called")

    def check(self, cell):
        raise ValueError("Refusing: expected another cell.\nReceived: this one")


def aside(gradient):
    """A vector of the same length at right angles, for an even number of elements."""
    pairs = tf.reshape(gradient, (-1, 2))
    return tf.reshape(tf.stack([-pairs[:, 1], pairs[:, 0]], axis=1), gradient.shape)


@pytest.mark.parametrize(
    ("u", "v", "degrees"),
    [
        ([1, 0], [2, 2], 45),
        ([3, 0, 0], [0, 0, -2], 90),
        ([1, 1], [-4, -4], 180),
        (
            [1, 0],
            [np.cos(1e-9), np.sin(1e-9)],
            np.degrees(1e-9),
        ),  # which arccos of a product would take for 0
        ([2, 0], [1, np.sqrt(3)], 60),
        ([0, 0], [1, 0], 90),
        ([0, 0], [0, 0], 0),
    ],
)
def test_angle_of_known_vectors(u, v, degrees):
    assert angle(np.array(u, float), np.array(v, float)) == pytest.approx(
        degrees, rel=1e-9, abs=1e-15
    )


@pytest.mark.slow
def test_exact_learners_see_every_lag(rng):
    model, probe = problem(rng, "lstm1997")
    table = measured(model, probe, BPTT(), RTRL())
    assert list(table.columns) == COLUMNS
    assert sorted(set(table["lag"])) == [0, *LAGS]
    assert list(at(table, 0)["weight"].unique()) == [*model.weight_names, "cell", "all"]
    of_cell = [weight.name for weight in model.cell.trainable_variables]
    assert list(at(table, *LAGS)["weight"].unique()) == [*of_cell, "cell"]
    assert table["exact_norm"].min() > 1e-6
    assert table[["angle", "angle_of_mean"]].max(axis=None) < 1e-5
    np.testing.assert_allclose(table[["ratio", "ratio_of_mean"]], 1, rtol=1e-7)
    np.testing.assert_allclose(table["norm"], table["exact_norm"], rtol=1e-7)
    assert (table["angle_spread"] == 0).all()


def test_slices_against_each_sequence_cut_by_hand(rng, eager):
    """exact_norm at lag k: of the mean over sequences of g_k - g_(k/2), each from the piece of its
    own length.
    """
    model, probe = problem(rng)
    table = at(measured(model, probe, Elman()), *LAGS).pivot_table(
        index="lag", columns="weight", values="exact_norm"
    )
    names = [weight.name for weight in model.cell.trainable_variables]

    def gradient(b: int, k: int) -> list[np.ndarray]:
        begin = max(LAST[b] + 1 - k, 0)
        states = model.cell.get_initial_state(batch_size=1)
        for t in range(begin):
            _, states = model.cell(tf.constant(probe.x[b : b + 1, t]), states)
        x, y, w = (tf.constant(part[b : b + 1, begin : LAST[b] + 1]) for part in probe[:3])
        w = w * tf.constant([[0.0] * (w.shape[1] - 1) + [1.0]], w.dtype)
        return [
            g.numpy()
            for g in BPTT().gradients(model.cell, model.head, x, y, w, states)[2][: len(names)]
        ]

    before = [np.zeros(weight.shape) for weight in model.cell.trainable_variables]
    for k in LAGS:
        now = [sum(parts) / B for parts in zip(*(gradient(b, k) for b in range(B)), strict=True)]
        norms = {
            name: np.linalg.norm(g - old) for name, g, old in zip(names, now, before, strict=True)
        }
        np.testing.assert_allclose(table.loc[k, names], [norms[name] for name in names], rtol=1e-8)
        assert table.loc[k, "cell"] == pytest.approx(
            np.sqrt(sum(norm**2 for norm in norms.values())), rel=1e-8
        )
        before = now


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_elman_sees_the_step_of_the_error_alone(dtype, rng, eager):
    table = measured(*problem(rng, dtype=dtype), Elman())
    first, later = at(table, 1), at(table, *LAGS[1:])
    assert first["angle"].max() < 1e-5
    np.testing.assert_allclose(first["ratio"], 1, rtol=1e-9)
    assert (later["exact_norm"] > 1e-6).all()
    assert (later[["norm", "ratio"]] == 0).all(axis=None)
    assert (later["angle"] == 90).all()
    assert at(table, 0).set_index("weight")["angle"]["cell"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("update_every", [1, 3, 4])
def test_truncated_bptt_sees_nothing_beyond_h(update_every, rng, eager):
    """Wherever the pieces begin, though their length divides no lag."""
    learner = TruncatedBPTT(horizon=4, update_every=update_every)
    table = measured(*problem(rng), learner)
    seen, beyond = at(table, 1, 2, 4), at(table, 7)
    assert seen["angle"].max() < 1e-5
    np.testing.assert_allclose(seen["ratio"], 1, rtol=1e-9)
    assert (beyond["exact_norm"] > 1e-6).all()
    assert (beyond["norm"] == 0).all()
    assert learner.update_every == update_every


@pytest.mark.slow
def test_the_whole_gradient_is_the_learners_own(rng, eager):
    """Lag 0 of a learner in pieces: with its own pieces, as in training."""
    model, probe = problem(rng)
    batch = [tf.constant(part) for part in probe[:3]]
    learners = [TruncatedBPTT(horizon=5, update_every=5), Truncated1997()]
    table = at(measured(model, probe, *learners), 0).set_index(["learner", "weight"])
    for learner in learners:
        found, exact = (
            one.gradients(model.cell, model.head, *batch)[2] for one in (learner, BPTT())
        )
        for name, g, e in zip(model.weight_names, found, exact, strict=True):
            g, e = g.numpy().ravel() / B, e.numpy().ravel() / B
            row = table.loc[(type(learner).__name__, name)]
            np.testing.assert_allclose(
                [row["norm"], row["exact_norm"]], [np.linalg.norm(g), np.linalg.norm(e)], rtol=1e-9
            )
            cosine = g @ e / np.linalg.norm(g) / np.linalg.norm(e)
            assert np.cos(np.radians(row["angle"])) == pytest.approx(cosine, abs=1e-9)
        assert table.loc[(type(learner).__name__, "cell"), "angle"] > 1


def test_one_draw_and_the_mean_of_draws(rng, eager):
    """Half the exact gradient, and as much at right angles to either side: 45 degrees each, and 0
    on average.
    """
    table = at(measured(*problem(rng), Halved(), draws=4), 0)
    np.testing.assert_allclose(table["angle"], 45, rtol=1e-9)
    np.testing.assert_allclose(table["ratio"], np.sqrt(0.5), rtol=1e-9)
    np.testing.assert_allclose(table["angle_spread"], 0, atol=1e-9)
    np.testing.assert_allclose(table["angle_of_mean"], 0, atol=1e-6)
    np.testing.assert_allclose(table["ratio_of_mean"], 0.5, rtol=1e-9)


@pytest.mark.slow
def test_a_learner_that_does_not_serve_is_left_out_with_one_line(rng, eager, capsys):
    model, probe = problem(rng)
    diagnostic = LearnerComparison(
        {
            "no": Refusing(),
            "big": RTRL(max_sensitivities=10),
            "guess": RandomGuessing(),
            "yes": Elman(),
        }
    )
    assert diagnostic.serves(model)
    tables = [diagnostic.measure(model, probe) for _ in range(2)]
    assert capsys.readouterr().err.splitlines() == [
        "diagnostic.learners.no: left out, Refusing: expected another cell. Received: this one",
        "diagnostic.learners.big: left out, RTRL: expected sensitivities of at most "
        "learner.max_sensitivities=10 numbers. Received: "
        f"batch 3 * states 8 * weights 112 = {3 * 8 * 112:,} numbers, "
        f"and {3 * 8 * 8 * 112:,} multiplications per step",
        "diagnostic.learners.guess: left out, learner: expected one that gives gradients of cell "
        "and head. Received: RandomGuessing",
    ]  # once, not at every measurement
    for table in tables:
        assert set(table["learner"]) == {"yes"}
    nobody = LearnerComparison({"no": Refusing()})
    table = nobody.measure(model, probe)
    assert (len(table), list(table.columns)) == (0, COLUMNS)
    nobody.show(None, table, 0)  # writes nothing


def test_what_it_serves(rng):
    diagnostic = LearnerComparison({"elman": Elman()})
    assert diagnostic.serves(problem(rng)[0])
    assert not diagnostic.serves(Recurrent(keras.layers.GRUCell(N), Head(K), BPTT(), F))


def test_it_compares_for_the_model_that_it_is_given(rng, eager):
    diagnostic = LearnerComparison({"elman": Elman()})
    for cell in ("vanilla", "gru"):
        model, probe = problem(rng, cell)
        probe = Probe(*(part[:, :3] for part in probe))
        pd.testing.assert_frame_equal(
            diagnostic.measure(model, probe),
            LearnerComparison({"elman": Elman()}).measure(model, probe),
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "learners=None"),
        ({"learners": {}}, "learners={}"),
        ({"learners": {"a": "bptt"}}, "learners={'a': 'bptt'}"),
    ],
)
def test_wrong_learners(settings, message):
    with pytest.raises(
        ValueError, match=r"^LearnerComparison: expected one learner or more by name"
    ) as e:
        LearnerComparison(**settings)
    assert str(e.value).endswith(f"Received: {message}")


@pytest.mark.parametrize("draws", [0, True, 2.0])
def test_wrong_draws(draws):
    with pytest.raises(
        ValueError, match=r"^LearnerComparison: expected a positive integer\. Received: draws="
    ) as e:
        LearnerComparison({"elman": Elman()}, draws=draws)
    assert str(e.value).endswith(f"draws={draws!r}")


@pytest.mark.slow
def test_tensorboard_shows_angles_and_curves_against_lag(rng, eager, tmp_path):
    model, probe = problem(rng)
    diagnostic, board = LearnerComparison({"elman": Elman(), "exact": BPTT()}), Board(tmp_path)
    table = diagnostic.measure(model, probe)
    diagnostic.show(board, table, 700)
    board.close()
    rows = table.set_index(["learner", "weight", "lag"])
    for learner in ("elman", "exact"):
        for weight in ("all", "cell"):
            written = scalars(events(tmp_path), f"learner_angle_{weight}/{learner}")
            assert written == {700: np.float32(rows.loc[(learner, weight, 0), "angle"])}
        for what in ("ratio", "angle"):
            written = scalars(events(tmp_path), f"learner_{what}_against_lag/{learner}_before")
            assert written == {
                lag: np.float32(rows.loc[(learner, "cell", lag), what]) for lag in LAGS
            }


@pytest.mark.slow
def test_a_run_is_the_same_with_and_without_it(tmp_path):
    """Weights, history and row to the last bit; and the table opens with pandas."""
    settings = (
        "seed=3",
        "diagnostic.learners.draws=2",
        "+diagnostic.learners.learners.guess={_target_: lstmlab.learners.RandomGuessing}",
        "~diagnostic.learners.learners.rtrl",
    )
    rows = {}
    for name, chosen in (
        ("with", ("diagnostic=[learners]", *settings)),
        ("without", ("diagnostic=[]", "seed=3")),
    ):
        (tmp_path / name).mkdir()
        rows[name] = run(tmp_path / name, *chosen)
    one, other = (Run(tmp_path / name).read("history").drop(columns="seconds") for name in rows)
    pd.testing.assert_frame_equal(one, other)
    assert rows["with"]["test_error"] == rows["without"]["test_error"]
    assert weights(tmp_path / "with") == weights(tmp_path / "without")
    table = pd.read_csv(tmp_path / "with" / "learners.csv")
    assert list(table.columns) == ["sequences", *COLUMNS]
    assert set(table["sequences"]) == {0, 200}
    assert set(table["learner"]) == {"truncated1997", "elman", "truncated_bptt"}
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)


def weights(folder) -> list[bytes]:
    """The saved weights, read into a new model of the same config."""
    config, _ = composed("diagnostic=[]")
    head = instantiate(
        config["head"], outputs=1, activation="linear", loss="squared", _convert_="all"
    )
    model = Recurrent(instantiate(config["cell"], _convert_="all"), head, BPTT(), 2)
    model.load_weights(folder / "model.weights.h5")
    return [weight.numpy().tobytes() for weight in model.trainable_variables]
