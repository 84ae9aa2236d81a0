"""The sequence chunker in both forms.

Against loops written out in NumPy, its bookkeeping by hand, and what is refused.
"""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from oracles import randomize

from lstmlab import Head, OutputUnits, Recurrent, variant
from lstmlab.config import compose as composed
from lstmlab.learners import ChunkerLevels, SequenceChunker
from lstmlab.learners.base import giving_gradients
from lstmlab.runs import train

T, F, N, K = 9, 2, 4, 3
RATE = 0.25  # exact in single precision, in which Keras keeps it


def sigmoid(net):
    return 1 / (1 + np.exp(-net))


def model(learner, seed=1, dtype="float64", head=None, cell=None):
    rng = np.random.default_rng(seed)
    cell = cell or variant("elman", N, candidate_activation="sigmoid", dtype=dtype)
    made = Recurrent(cell, head or Head(K, "sigmoid", shortcuts=True, dtype=dtype), learner, F)
    for layer in made.layers:
        if layer.trainable_variables:
            randomize(layer, rng, 1.5)
    made.compile(keras.optimizers.SGD(RATE))
    made.optimizer.build(made.trainable_variables)
    return made


def top_of(made):
    return made.learner_state.variables["top"]


def batch(rng, rows=1, steps=T):
    """y begins with the next x; its further lines, and the last step, are random.

    One step is without error.
    """
    x, y = (
        rng.uniform(0.2, 0.8, size=(rows, steps, F)),
        rng.uniform(0.2, 0.8, size=(rows, steps, K)),
    )
    y[:, :-1, :F] = x[:, 1:]
    w = np.ones((rows, steps))
    w[0, steps // 3] = 0
    return x, y, w


def learn(made, *data):
    step = tf.function(made.learn, autograph=False)
    return [[value.numpy() for value in step(*(tf.constant(part) for part in one))] for one in data]


class Net:
    """An Elman net of logistic units with shortcuts.

    Errors go h steps back, which are run again from the state before them.
    """

    def __init__(self, cell, heads, h):
        self.u, self.v, self.b = (w.numpy() for w in cell.trainable_variables)
        parts = zip(*([w.numpy() for w in head.trainable_variables] for head in heads), strict=True)
        self.w, self.s, self.c = (np.concatenate(part, axis=-1) for part in parts)
        self.h = h

    @property
    def weights(self):
        return [self.u, self.v, self.b, self.w, self.s, self.c]

    def empty(self):
        return np.zeros(len(self.v)), []

    def states(self, memory, z):
        states = [memory[0]]
        for inputs in [*memory[1], z]:
            states.append(sigmoid(inputs @ self.u + states[-1] @ self.v + self.b))
        return states

    def look(self, memory, z):
        hidden = self.states(memory, z)[-1]
        return hidden, sigmoid(hidden @ self.w + z @ self.s + self.c)

    def slopes(self, memory, z, delta):
        """delta: (target - output) f' of every output."""
        states, inputs = self.states(memory, z), [*memory[1], z]
        du, dv, db = np.zeros_like(self.u), np.zeros_like(self.v), np.zeros_like(self.b)
        back = self.w @ delta
        for i in reversed(range(len(inputs))):
            delta_h = back * states[i + 1] * (1 - states[i + 1])
            du, dv, db = (
                du + np.outer(inputs[i], delta_h),
                dv + np.outer(states[i], delta_h),
                db + delta_h,
            )
            back = self.v @ delta_h
        return [du, dv, db, np.outer(states[-1], delta), np.outer(z, delta), delta]

    def on(self, memory, z):
        base, inputs = memory[0], [*memory[1], z]
        while len(inputs) > self.h - 1:
            base = sigmoid(inputs.pop(0) @ self.u + base @ self.v + self.b)
        return base, inputs

    def change(self, slopes):
        for weight, slope in zip(self.weights, slopes, strict=True):
            weight += RATE * slope


def added(all_slopes):
    return [sum(parts) for parts in zip(*all_slopes, strict=True)]


def sure(prediction, theta):
    return np.all((prediction <= theta) | (prediction >= 1 - theta))


def padded(x_t):
    return np.concatenate([x_t, np.zeros(K - F)])


def given(y, x):
    """told() of the NumPy loops: the targets, or (None) the next input with the answer for
    further targets.
    """
    if y is not None:
        return lambda b, t, answer: y[b, t]
    following = np.concatenate([x[:, 1:], np.zeros_like(x[:, :1])], axis=1)
    return lambda b, t, answer: np.concatenate([following[b, t], answer[F:]])


def two_nets(a, c, theta, distill, weight, x, y, w):
    """Answers of A and of both together [B, T, K], and which inputs were unexpected.

    Learns where there are targets.
    """
    rows, told = len(x), given(y, x)
    lines = {"state": N + K, "hidden": N, "none": 0}[distill]
    of_a, of_c, pending = (
        [a.empty() for _ in x],
        [c.empty() for _ in x],
        [padded(x[b, 0]) for b in range(rows)],
    )
    state = [np.concatenate(c.look(of_c[b], pending[b])) for b in range(rows)]
    alone, system, unexpected = (
        np.zeros((rows, T, K)),
        np.zeros((rows, T, K)),
        np.zeros((rows, T), bool),
    )
    for t in range(T):
        slopes_a, slopes_c, later = [], [], []
        for b in range(rows):
            out = a.look(of_a[b], x[b, t])[1]
            o, s = out[:K], state[b]
            alone[b, t], system[b, t] = o, o if sure(o, theta) else s[N:]
            target = told(b, t, system[b, t])
            unexpected[b, t] = w[b, t] > 0 and np.abs(target - o).max() > theta
            error = np.concatenate([target - o, weight * (s[:lines] - out[K:])])
            slopes_a.append(a.slopes(of_a[b], x[b, t], w[b, t] * error * out * (1 - out)))
            of_a[b] = a.on(of_a[b], x[b, t])
            if unexpected[b, t]:
                slopes_c.append(
                    c.slopes(of_c[b], pending[b], w[b, t] * (target - s[N:]) * s[N:] * (1 - s[N:]))
                )
                of_c[b] = c.on(of_c[b], pending[b])
                pending[b] = target
            later.append(slopes_c)
        if y is not None:
            a.change(added(slopes_a))
            if slopes_c:
                c.change(added(slopes_c))
        if unexpected[:, t].any():
            state = [np.concatenate(c.look(of_c[b], pending[b])) for b in range(rows)]
    return alone, system, unexpected


def levels(nets, top, theta, x, y, w):
    """Answers [B, T, K], unexpected inputs of each level, and squared errors of each level where
    it was reached.
    """
    rows, told = len(x), given(y, x)
    memory = [[net.empty() for net in nets] for _ in x]
    pending = [[None] + [padded(x[b, 0])] * (len(nets) - 1) for b in range(rows)]
    predicted = [[net.look(m, z)[1] if z is not None else None
                  for net, m, z in zip(nets, memory[b], pending[b], strict=True)]
                 for b in range(rows)]  # fmt: skip
    answers, unexpected, errors = np.zeros((rows, T, K)), np.zeros(len(nets)), np.zeros(len(nets))
    for t in range(T):
        slopes = []
        for b in range(rows):
            pending[b][0] = x[b, t]
            predicted[b][0] = nets[0].look(memory[b][0], x[b, t])[1]
            certain = [o for o in predicted[b][:top] if sure(o, theta)]
            answers[b, t] = certain[0] if certain else predicted[b][top - 1]
            target = told(b, t, answers[b, t])
            consumed = [0]
            for level in range(top):
                if not w[b, t]:
                    break
                o = predicted[b][level]
                errors[level] += np.sum((target - o) ** 2)
                if level == top - 1:
                    delta = w[b, t] * (target - o) * o * (1 - o)
                    slopes.append(nets[level].slopes(memory[b][level], pending[b][level], delta))
                if level:
                    consumed.append(level)
                if np.abs(target - o).max() <= theta:
                    break
                unexpected[level] += 1
            for level in consumed:
                memory[b][level] = nets[level].on(memory[b][level], pending[b][level])
                if level:
                    pending[b][level] = target
        if y is not None and slopes:
            nets[top - 1].change(added(slopes))
        for b in range(rows):
            for level in range(1, len(nets)):
                predicted[b][level] = nets[level].look(memory[b][level], pending[b][level])[1]
    return answers, unexpected, errors


def apart(made, distilled):
    """A and C in NumPy."""
    h, heads = made.learner.horizon, [made.head, *([made.distilled] if distilled else [])]
    return Net(made.cell, heads, h), Net(made.chunker_cell, [made.chunker_head], h)


def same(net, cell, heads):
    other = Net(cell, heads, net.h)
    for one, value in zip(other.weights, net.weights, strict=True):
        np.testing.assert_allclose(one, value, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    ("h", "theta", "distill", "weight", "judge"),
    [
        (3, 0.4, "state", 1.0, "automatizer"),
        (3, 0.4, "state", 0.3, "system"),
        (1, 0.45, "hidden", 1.0, "automatizer"),
        (2, 0.35, "none", 1.0, "system"),
    ],
)
def test_two_nets_are_those_of_the_loop(rows, h, theta, distill, weight, judge, rng):
    made = model(SequenceChunker(theta, h, None, distill, weight, judge))
    a, c = apart(made, distill != "none")
    data, counted, differing = [batch(rng, rows) for _ in range(3)], [], []
    for one, (loss, prediction) in zip(data, learn(made, *data), strict=True):
        alone, system, unexpected = two_nets(a, c, theta, distill, weight, *one)
        np.testing.assert_allclose(
            prediction, alone if judge == "automatizer" else system, atol=1e-12
        )
        np.testing.assert_allclose(
            loss, 0.5 * np.sum(one[2][..., None] * (one[1] - prediction) ** 2), rtol=1e-12
        )
        counted.append(unexpected)
        differing.append(np.any(alone != system, axis=-1))
    assert len({tuple(pattern[0]) for pattern in counted}) > 1
    assert 0.1 < np.mean(counted) < 0.9
    assert rows == 1 or 0.1 < np.mean(differing) < 0.95
    same(a, made.cell, [made.head, *([made.distilled] if distill != "none" else [])])
    same(c, made.chunker_cell, [made.chunker_head])
    report = made.report()
    assert report.history == {"unexpected": pytest.approx(np.sum(counted) / (3 * rows))}
    assert report.row == report.history
    assert made.report().history == {"unexpected": 0.0}
    x, _, w = batch(rng, rows)
    alone, system, _ = two_nets(a, c, theta, distill, weight, x, None, np.ones_like(w))
    np.testing.assert_allclose(
        made.answers(x), alone if judge == "automatizer" else system, atol=1e-12
    )


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    ("h", "top", "theta"), [(3, 1, 0.4), (3, 2, 0.4), (2, 3, 0.35), (1, 2, 0.4)]
)
def test_levels_are_those_of_the_loop_and_the_top_one_alone_learns(rows, h, top, theta, rng):
    made = model(ChunkerLevels(theta, h, levels=3, window=1000))
    top_of(made).assign(top)
    layers = made.learner.pairs(made)
    nets = [Net(cell, [head], h) for cell, head in layers]
    before = [
        weight.numpy()
        for cell, head in layers
        for weight in cell.trainable_variables + head.trainable_variables
    ]
    data, unexpected, errors = [batch(rng, rows) for _ in range(3)], 0, 0
    for one, (_, prediction) in zip(data, learn(made, *data), strict=True):
        answers, more, error = levels(nets, top, theta, *one)
        np.testing.assert_allclose(prediction, answers, atol=1e-12)
        unexpected, errors = unexpected + more, errors + error
    for net, (cell, head) in zip(nets, layers, strict=True):
        same(net, cell, [head])
    after = [
        weight.numpy()
        for cell, head in layers
        for weight in cell.trainable_variables + head.trainable_variables
    ]
    moved = [not np.array_equal(one, other) for one, other in zip(before, after, strict=True)]
    assert moved == [level == top for level in (1, 2, 3) for _ in range(6)]
    assert 0 < unexpected[0] < 3 * rows * T - 3
    assert list(unexpected > 0) == [level <= top for level in (1, 2, 3)]
    np.testing.assert_allclose(
        made.learner_state.variables["growth"]["error"].numpy(), errors[top - 1], rtol=1e-5
    )
    report = made.report()
    assert report.history == {
        **{
            f"unexpected_{level}": pytest.approx(unexpected[level - 1] / (3 * rows))
            for level in (1, 2, 3)
        },
        "levels": float(top),
    }
    assert report.row["levels"] == top
    x, _, w = batch(rng, rows)
    np.testing.assert_allclose(
        made.answers(x), levels(nets, top, theta, x, None, np.ones_like(w))[0], atol=1e-12
    )


def test_a_level_is_made_when_the_error_no_longer_falls(rng):
    """By hand, with improvement 0.1 and patience 2, two sequences per window.

    Errors per sequence of the top level.
    """
    made = model(ChunkerLevels(levels=3, window=2, patience=2, improvement=0.1))
    tops, state = [], made.learner_state.read()
    for each in (10.0, 8.9, 8.5, 7.9, 7.9, 7.5, 20.0, 25.0, 19.0, 19.0, 10.0, 10.0, 10.0):
        for _ in range(2):
            errors = np.full(3, -1.0, "float32")
            errors[int(state["top"]) - 1] = each
            state = made.learner.remember(state, 1, tf.constant(errors))
        tops.append(int(state["top"]))
    # level 1: 8.5 > 0.9 * 8.9 and 7.9 > 0.9 * 8.5; level 2: 7.5 > 0.9 * 7.9 and 20 > 0.9 * 7.5;
    # level 3 is the last one
    assert tops == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3]
    assert state["growth"]["best"].numpy() == 10.0


def test_one_good_window_sets_the_count_back():
    made = model(ChunkerLevels(levels=2, window=1, patience=2, improvement=0.1))
    tops, state = [], made.learner_state.read()
    for each in (10.0, 9.5, 8.0, 7.9, 7.0, 6.9, 6.9):
        state = made.learner.remember(state, 1, tf.constant([each, 0.0]))
        tops.append(int(state["top"]))
    assert tops == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.slow
def test_what_is_expected_leaves_the_chunker_as_it_is(rng):
    """To the last bit: weights, memory and state. The automatizer goes on all the same."""
    made = model(SequenceChunker(threshold=0.999))
    made.carry(1, 1)
    first, second = batch(rng, steps=6), batch(rng, steps=6)
    step = tf.function(made.learn, jit_compile=True, autograph=False)
    step(*map(tf.constant, first), tf.constant([True]))

    def of_c():
        memory = made.learner_state.read()["carried"]
        weights = made.chunker_cell.get_weights() + made.chunker_head.get_weights()
        return weights + [
            v.numpy()
            for v in tf.nest.flatten([memory["chunker"], memory["pending"], memory["state"]])
        ]

    before, of_a = of_c(), made.cell.get_weights()
    step(*map(tf.constant, second), tf.constant([False]))
    for one, other in zip(before, of_c(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(
        np.abs(one - other).max() > 1e-6
        for one, other in zip(of_a, made.cell.get_weights(), strict=True)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [lambda: SequenceChunker(0.4, 3), lambda: ChunkerLevels(0.4, 3, levels=3, window=1000)]
)
def test_pieces_of_a_stream_are_the_whole_sequence(make, rng):
    x, y, w = batch(rng, 2, steps=12)
    whole, streamed = model(make()), model(make())
    for made in (whole, streamed):
        if isinstance(made.learner, ChunkerLevels):
            top_of(made).assign(2)
    ((_, prediction),) = learn(whole, (x, y, w))
    streamed.carry(2, 1)
    step = tf.function(streamed.learn, jit_compile=True, autograph=False)
    parts = []
    for start in (0, 6):
        here = [tf.constant(part[:, start : start + 6]) for part in (x, y, w)]
        parts.append(step(*here, tf.constant([start == 0] * 2))[1].numpy())
    np.testing.assert_allclose(np.concatenate(parts, axis=1), prediction, atol=1e-12)
    for one, other in zip(streamed.trainable_variables, whole.trainable_variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-12)
    here = [tf.constant(part[:, :6]) for part in (x, y, w)]
    fresh = [
        streamed.learner.fresh(streamed, here[0][:, 0]),
        streamed.learner_state.read()["carried"],
    ]
    again = step(*here, tf.constant([True, False]))[1].numpy()
    for one, other in zip(*map(tf.nest.flatten, fresh), strict=True):
        assert one.shape == other.shape
    assert np.abs(again[0] - again[1]).max() > 1e-3


def test_all_nets_are_saved_with_weights_of_their_own(tmp_path, rng):
    for learner, count in ((SequenceChunker(units=3), 15), (ChunkerLevels(levels=3), 18)):
        keras.utils.set_random_seed(1)
        cell = variant("elman", N, candidate_activation="sigmoid")
        made = Recurrent(cell, Head(K, "sigmoid", shortcuts=True), learner, F)
        values = [w.numpy().ravel()[:6] for w in made.trainable_variables if np.ptp(w.numpy()) > 0]
        assert len(made.trainable_variables) == count
        assert len({tuple(value) for value in values}) == len(values)
        if count == 18:
            top_of(made).assign(2)
        made.save_weights(str(tmp_path / f"{count}.weights.h5"))
        again = SequenceChunker(units=3) if count == 15 else ChunkerLevels(levels=3)
        cell = variant("elman", N, candidate_activation="sigmoid")
        other = Recurrent(cell, Head(K, "sigmoid", shortcuts=True), again, F)
        other.load_weights(str(tmp_path / f"{count}.weights.h5"))
        for one, value in zip(other.weights, made.weights, strict=True):
            np.testing.assert_array_equal(one.numpy(), value.numpy())
    assert other.report().row["levels"] == 2


def test_what_is_refused():
    for make, text in (
        (lambda: SequenceChunker(threshold=0),
         r"SequenceChunker: expected a number in \(0, 1\). Received: .*threshold=0"),
        (lambda: ChunkerLevels(threshold=1.0),
         r"ChunkerLevels: expected a number in \(0, 1\). Received: .*threshold=1.0"),
        (lambda: SequenceChunker(horizon=0), "positive integer. Received: learner.horizon=0"),
        (lambda: SequenceChunker(units=0), "positive integer or null. Received: learner.units=0"),
        (lambda: SequenceChunker(distill="all"),
         r"\('state', 'hidden', 'none'\). Received: learner.distill='all'"),
        (lambda: SequenceChunker(judge="both"),
         r"\('automatizer', 'system'\). Received: learner.judge='both'"),
        (lambda: SequenceChunker(distill_weight=-1),
         "number >= 0. Received: learner.distill_weight=-1"),
        (lambda: ChunkerLevels(levels=0), "positive integer. Received: learner.levels=0"),
        (lambda: ChunkerLevels(window=0), "positive integer. Received: learner.window=0"),
        (lambda: ChunkerLevels(patience=0), "positive integer. Received: learner.patience=0"),
        (lambda: ChunkerLevels(improvement=1),
         r"number in \(0, 1\). Received: learner.improvement=1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            make()
    for head, text in (
        (Head(F - 1, "sigmoid"), "begin with the next input, so at least 2. Received: outputs=1"),
        (
            OutputUnits(F),
            "expected a head with weights and head.loss=squared. "
            "Received: head=OutputUnits, loss='squared'",
        ),
        (
            Head(F, "softmax", loss="crossentropy"),
            "head.loss=squared. Received: head=Head, loss='crossentropy'",
        ),
    ):
        for learner in (SequenceChunker(), ChunkerLevels()):
            with pytest.raises(ValueError, match=text):
                Recurrent(variant("elman", N), head, learner, F)
    stacked = keras.layers.StackedRNNCells([keras.layers.SimpleRNNCell(3)] * 2)
    with pytest.raises(ValueError, match="SequenceChunker: expected a single cell"):
        Recurrent(stacked, Head(F), SequenceChunker(), F)
    with pytest.raises(ValueError, match="no dropout is applied here"):
        Recurrent(keras.layers.SimpleRNNCell(3, dropout=0.5), Head(F), ChunkerLevels(), F)
    with pytest.raises(ValueError, match=r"gives gradients .* Received: SequenceCh"):
        giving_gradients(SequenceChunker())


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (
            "temporal_order",
            "expected targets at every step. Received: task=TemporalOrder, with .* steps without",
        ),
        (
            "counting_language",
            "expected targets that begin with the next input. Received: task=CountingLanguage",
        ),
        ("embedded_reber", None),
        ("noise_free_lag", None),
        ("chunk_stream", None),
    ],
)
def test_tasks_that_do_not_ask_for_the_next_input_are_refused(task, text):
    from hydra.utils import instantiate

    made = instantiate(composed(f"task={task}")[0]["task"], _convert_="all")
    if text is None:
        assert SequenceChunker().check_task(made) is None
    else:
        with pytest.raises(ValueError, match=text):
            ChunkerLevels().check_task(made)


@pytest.mark.slow
@pytest.mark.parametrize("experiment", ["stream", "stream_levels"])
def test_a_short_stream_is_learnt_and_its_history_says_what_was_unexpected(experiment, tmp_path):
    """Lag 5, errors 3 steps back: in the end nothing is unexpected but the next a or x."""
    config, choices = composed(
        f"experiment=chunker/{experiment}", "task.lag=5", "task.steps=60", "trainer.chunk=6",
        "task.criterion.sequences=500", "trainer.budget=8000", "diagnostic=[]",
    )  # fmt: skip
    row = train.run(config, tmp_path, choices, progress=False)
    assert (row["status"], row["test_wrong"]) == ("solved", 0)
    name = "unexpected" if experiment == "stream" else "unexpected_1"
    history = pd.read_csv(tmp_path / "history.csv")
    assert history[name].iloc[-1] == row[name] <= 2 < history[name].iloc[0] <= 6
    assert experiment == "stream" or row["levels"] == 2
