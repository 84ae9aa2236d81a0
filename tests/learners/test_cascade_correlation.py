"""Recurrent cascade-correlation.

Its slopes, its two loops, its growth, and all of it against a version in NumPy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import assert_gradients, finite_differences, randomize

from lstmlab import GatedCell, Head, OutputUnits, Recurrent
from lstmlab.cells import CascadeCell
from lstmlab.learners.base import forward, giving_gradients
from lstmlab.learners.candidates import correlate as candidates_correlate
from lstmlab.learners.candidates import draw
from lstmlab.learners.cascade_correlation import CascadeCorrelation
from lstmlab.learners.grown import weights_in
from lstmlab.learners.quickprop import patience, quickprop

by_op = pytest.mark.usefixtures(
    "eager"
)  # tests of values; one below compares with the compiled form
B, T, F, K = 12, 6, 2, 2
OFFSET = 0.1
SHORT = {"candidates": 3, "limit": 12, "output_patience": 3, "candidate_patience": 3}


def model(learner, units=3, activation="centred", dtype="float64", head=None, seed=0):
    keras.utils.set_random_seed(seed)
    around = keras.initializers.RandomUniform(-1, 1)
    head = head or Head(
        K,
        "sigmoid",
        bias=around,
        kernel_initializer=around,
        shortcuts=True,
        prime_offset=OFFSET,
        dtype=dtype,
    )
    return Recurrent(CascadeCell(units, activation, dtype=dtype), head, learner, features=F)


def batch(rng, dtype="float64"):
    """Sequences of different lengths, padded at the right, with steps without error inside.

    A target that needs memory.
    """
    x = rng.choice([-1.0, 1.0], size=(B, T, F))
    length = rng.integers(3, T + 1, size=B)
    valid = np.arange(T) < length[:, None]
    x *= valid[..., None]
    y = np.stack([np.cumsum(x[..., 0] > 0, axis=1) % 2, x[..., 1] > 0], axis=-1).astype(float)
    w = (valid & (rng.random((B, T)) < 0.8)).astype(float)
    return tuple(tf.constant(part, dtype) for part in (x, y * w[..., None], w))


def epoch_of(net, data):
    return tf.function(lambda: net.learn(*data), jit_compile=True, autograph=False)


def of(net, name: str):
    return net.learner_state.variables[name]


def weights(net) -> dict:
    return {w.name: w.numpy() for w in [*net.cell.weights, *net.head.weights]}


@pytest.mark.slow
@by_op
@pytest.mark.parametrize("activation", ["centred", "sigmoid", "tanh"])
def test_slopes_of_a_candidate_against_finite_differences(activation, rng):
    """Of sum_o sign_o C_o at fixed signs; a step without error in a string carries the trace on."""
    cell = CascadeCell(2, activation, dtype="float64")
    seen, w = rng.normal(size=(B, T, 4)), (rng.random((B, T)) < 0.7).astype(float)
    residual = tf.constant(rng.normal(size=(B, T, K)) * w[..., None])
    signs, pool = (
        tf.constant(rng.choice([-1.0, 1.0], size=(3, K))),
        rng.uniform(-1.5, 1.5, size=(3, 5)),
    )
    correlate = tf.function(
        lambda pool: candidates_correlate(cell, pool, tf.constant(seen), residual, signs),
        autograph=False,
    )
    correlation, slopes = correlate(tf.constant(pool))

    def pull(arrays):
        return float(tf.reduce_sum(signs * correlate(tf.constant(arrays[0]))[0]))

    assert_gradients([slopes], finite_differences(pull, [pool]), rtol=1e-6, atol=1e-8)
    f = {
        "centred": lambda a: 1 / (1 + np.exp(-a)) - 0.5,
        "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
        "tanh": np.tanh,
    }[activation]
    expected = np.zeros((3, K))
    for c in range(3):
        for b in range(B):
            value = 0.0
            for t in range(T):
                value = f(pool[c, :4] @ seen[b, t] + pool[c, 4] * value)
                expected[c] += value * residual[b, t].numpy()
    np.testing.assert_allclose(correlation, expected, rtol=1e-12)


@pytest.mark.slow
@by_op
@pytest.mark.parametrize("kind", ["sigmoid", "linear", "softmax"])
def test_slopes_of_the_outputs_against_finite_differences(kind, rng):
    """Quickprop's slope after the first epoch is that of head.error, whichever activation and loss.

    Decay apart.
    """
    head = {
        "sigmoid": lambda: None,
        "linear": lambda: Head(K, "linear", shortcuts=True, dtype="float64"),
        "softmax": lambda: Head(K, "softmax", shortcuts=True, loss="crossentropy", dtype="float64"),
    }[kind]()
    net, data = model(CascadeCorrelation(output_decay=0.0), head=head), batch(rng)
    if kind == "softmax":  # targets are shares
        data = data[0], tf.stack([data[1][..., 0], 1 - data[1][..., 0]], axis=-1), data[2]
    randomize(net.cell, rng)
    randomize(net.head, rng)
    net.cell.installed.assign(np.ones(3))
    of(net, "units").assign(3)
    parts = [net.head.bias, net.head.shortcut_kernel, net.head.kernel]

    def error(arrays):
        for weight, array in zip(parts, arrays, strict=True):
            weight.assign(array)
        return float(tf.reduce_sum(net.head.error(data[1], net(data[0]), data[2])))

    before = [part.numpy() for part in parts]
    expected = finite_differences(error, [value.copy() for value in before])
    error(before)
    loss, prediction = epoch_of(net, data)()
    slope = of(net, "output_slope").numpy()
    assert_gradients([slope[0], slope[1 : 1 + F], slope[1 + F :]], expected, rtol=1e-6, atol=1e-8)
    cases = np.count_nonzero(data[2])
    np.testing.assert_allclose(net.head.bias, before[0] - 0.35 / cases * slope[0], rtol=1e-12)
    assert prediction.shape == (B, T, K)
    assert float(loss) == pytest.approx(error(before), rel=1e-12)


def test_quickprop_by_hand():
    """rate 0.1, growth 2: shrink 2/3. One weight for each case, with what its numbers should be."""
    cases = [  # step before, slope before, slope, expected step
        (0.0, 0.0, 3.0, -0.3),  # the first step: rate alone
        (
            -0.5,
            3.0,
            1.0,
            -0.5 * 1 / (3 - 1) - 0.1,
        ),  # still downhill, slope shrunk: parabola and rate
        (-0.5, 3.0, 2.5, -1.0 - 0.25),  # 2.5 > 2/3 * 3: growth and rate
        (-0.5, 3.0, -1.0, -0.5 * -1 / (3 + 1)),  # past the minimum: back by the parabola, no rate
        (0.5, -3.0, -1.0, 0.5 * -1 / (-3 + 1) + 0.1),  # the same to the other side
        (0.5, -3.0, -2.5, 1.0 + 0.25),
        (0.5, -3.0, 1.0, 0.5 * 1 / (-3 - 1)),
        (0.5, -3.0, 0.0, 0.0),
    ]
    step, before, slope, expected = (
        tf.constant(column, "float64") for column in zip(*cases, strict=True)
    )
    weight = tf.ones_like(step)
    after, moved, kept = quickprop(weight, step, before, slope, 0.1, 2.0)
    np.testing.assert_allclose(moved, expected, rtol=1e-12)
    np.testing.assert_allclose(after, 1 + expected.numpy(), rtol=1e-12)
    np.testing.assert_array_equal(kept, slope)
    _, moved, kept = quickprop(weight, 0 * step, before, slope, 0.1, 2.0, decay=0.5)
    np.testing.assert_allclose(kept, slope + 0.5, rtol=1e-12)
    np.testing.assert_allclose(moved, -0.1 * (slope + 0.5), rtol=1e-12)


def test_quickprop_finds_the_minimum_of_a_parabola_in_two_steps():
    weight = tf.constant([3.0], "float64")
    step = slope = tf.zeros_like(weight)
    for _ in range(2):
        weight, step, slope = quickprop(weight, step, slope, weight - 1.0, 0.6, 2.0)
    weight, step, slope = quickprop(weight, step, slope, weight - 1.0, 0.0, 2.0)
    assert float(weight[0]) == pytest.approx(1.0, abs=0.2)
    weight, step, slope = quickprop(weight, step, slope, weight - 1.0, 0.0, 2.0)
    assert float(weight[0]) == pytest.approx(1.0, abs=1e-12)


def stops_at(values, quit, wait, change):
    last = tf.constant(-1.0, "float64")
    for epoch, value in enumerate(values, 1):
        last, quit, over = patience(tf.constant(value, "float64"), last, quit, epoch, wait, change)
        if over:
            return epoch
    return None


def test_patience_by_hand():
    assert stops_at([1.0] * 20, 3, 3, 0.1) == 3  # the first sets the mark, quit was 3
    assert stops_at([1.0] * 20, 15, 3, 0.1) == 15  # a candidate phase waits for a change
    assert stops_at([1.0, 1.2] + [1.2] * 20, 15, 3, 0.1) == 5  # the change at 2, and 3 more
    assert (
        stops_at([1.0, 1.05, 1.09, 1.14] + [1.14] * 20, 3, 3, 0.1) == 3
    )  # too slow: counted from the mark
    assert stops_at([1.0, 1.05, 1.12, 1.12, 1.12, 1.12, 1.12], 3, 3, 0.1) == 6
    assert (
        stops_at([1.0, 0.8, 0.6, 0.4, 0.2, 0.1, 0.0] + [0.0] * 9, 3, 3, 0.1) == 10
    )  # falls count too
    assert stops_at([0.0] * 20, 3, 3, 0.1) == 3


class InNumpy:
    """The algorithm a second time, with loops over strings and the units kept.

    Pools as the learner draws them.
    """

    def __init__(self, net, data):
        self.p, self.f = net.learner, lambda a: 1 / (1 + np.exp(-a)) - 0.5
        self.x, self.y, self.w = (np.asarray(part, "float64") for part in data)
        self.places, self.hidden = net.cell.units, []
        self.out = np.concatenate(
            [net.head.bias.numpy()[None], net.head.shortcut_kernel.numpy()]
        ).astype("float64")
        self.pools = (self.pool(net, k) for k in range(100))

    @staticmethod
    def pool(net, k):
        like = of(net, "pool").read_value()
        start = of(net, "start").read_value()
        return draw(start, tf.constant(k), like, net.learner.weight_range).numpy()

    def seen(self):
        parts = [np.ones_like(self.x[..., :1]), self.x]
        for weight in self.hidden:
            parts.append(self.values(weight, np.concatenate(parts, axis=-1))[..., None])
        return np.concatenate(parts, axis=-1)

    def values(self, weight, seen):
        value, values = np.zeros(B), []
        for t in range(T):
            value = self.f(seen[:, t] @ weight[:-1] + weight[-1] * value)
            values.append(value)
        return np.stack(values, axis=1)

    def quickprop(self, w, d, before, s, rate, mu, decay):
        s = s + decay * w
        new = np.zeros_like(w)
        for k in np.ndindex(w.shape):
            if d[k] < 0:
                new[k] = (
                    mu * d[k]
                    if s[k] >= mu / (1 + mu) * before[k]
                    else d[k] * s[k] / (before[k] - s[k])
                )
                new[k] -= rate * s[k] * (s[k] > 0)
            elif d[k] > 0:
                new[k] = (
                    mu * d[k]
                    if s[k] <= mu / (1 + mu) * before[k]
                    else d[k] * s[k] / (before[k] - s[k])
                )
                new[k] -= rate * s[k] * (s[k] < 0)
            else:
                new[k] = -rate * s[k]
        return w + new, new, s

    def answers(self):
        return 1 / (1 + np.exp(-self.seen() @ self.out))

    def epochs(self):
        """Yields phase, outputs [P, K] and number of units after every epoch."""
        p, cases = self.p, np.count_nonzero(self.w)
        while True:
            d, before, last, quit = (
                np.zeros_like(self.out),
                np.zeros_like(self.out),
                None,
                p.output_patience,
            )
            for epoch in range(1, p.limit + 1):
                seen, o = self.seen(), self.answers()
                error = self.w[..., None] * (o - self.y) * (o * (1 - o) + OFFSET)
                squared = np.sum(self.w[..., None] * (o - self.y) ** 2)
                slope = np.einsum("btp,btk->pk", seen, error)
                self.out, d, before = self.quickprop(
                    self.out,
                    d,
                    before,
                    slope,
                    p.output_rate / cases,
                    p.output_growth,
                    p.output_decay,
                )
                last, quit, still = self.stagnant(
                    squared, last, quit, epoch, p.output_patience, p.output_change
                )
                yield "output", self.out, len(self.hidden)
                if still:
                    break
            if len(self.hidden) == self.places:
                continue
            seen, o = self.seen(), self.answers()
            error = self.w[..., None] * (o - self.y) * (o * (1 - o) + OFFSET)
            residual = self.w[..., None] * (error - error.sum() / (cases * K)) / np.sum(error**2)
            pool, u = next(self.pools), seen.shape[-1]
            pool = np.concatenate([pool[:, :u], pool[:, -1:]], axis=1)
            d, before, last, quit = np.zeros_like(pool), np.zeros_like(pool), None, p.limit
            cor, _ = self.correlations(pool, seen, residual, np.ones((len(pool), K)))
            yield "candidates", self.out, len(self.hidden)
            for epoch in range(1, p.limit + 1):
                cor, slopes = self.correlations(pool, seen, residual, np.where(cor < 0, -1, 1))
                rate = p.candidate_rate / (cases * (u + 1))
                pool, d, before = self.quickprop(
                    pool, d, before, -slopes, rate, p.candidate_growth, p.candidate_decay
                )
                score = np.abs(cor).sum(axis=1)
                best = score.argmax()
                last, quit, still = self.stagnant(
                    score[best], last, quit, epoch, p.candidate_patience, p.candidate_change
                )
                if still or epoch == p.limit:
                    self.hidden.append(pool[best])
                    self.out = np.concatenate([self.out, -p.multiplier * cor[best][None]])
                    yield "candidates", self.out, len(self.hidden)
                    break
                yield "candidates", self.out, len(self.hidden)

    def correlations(self, pool, seen, residual, signs):
        cor, slopes = np.zeros((len(pool), K)), np.zeros_like(pool)
        for c, weight in enumerate(pool):
            for b in range(B):
                value, trace = 0.0, np.zeros(len(weight))
                for t in range(T):
                    known = np.append(seen[b, t], value)
                    value = self.f(weight @ known)
                    trace = (0.25 - value**2) * (known + weight[-1] * trace)
                    cor[c] += value * residual[b, t]
                    slopes[c] += (signs[c] @ residual[b, t]) * trace
        return cor, slopes

    @staticmethod
    def stagnant(value, last, quit, epoch, wait, change):
        if last is None:
            return value, quit, False
        if abs(value - last) > change * last:
            return value, epoch + wait, False
        return last, quit, epoch >= quit


@pytest.mark.slow
@by_op
def test_all_of_it_against_numpy(rng):
    """Every output weight after each of 90 epochs, over several phases and to the last place.

    Then the net that has grown.
    """
    net, data = model(CascadeCorrelation(**SHORT)), batch(rng)
    reference, run, phases = InNumpy(net, data), epoch_of(net, data), []
    for k, (phase, out, units) in zip(range(90), reference.epochs(), strict=False):
        run()
        mine = np.concatenate(
            [net.head.bias.numpy()[None], net.head.shortcut_kernel.numpy(), net.head.kernel.numpy()]
        )
        np.testing.assert_allclose(
            mine[: len(out)], out, rtol=1e-7, atol=1e-9, err_msg=f"epoch {k + 1}, {phase}"
        )
        assert not mine[len(out) :].any()
        assert int(of(net, "units")) == units
        assert int(of(net, "epochs")) == k + 1
        phases.append(phase)
    assert units == 3
    assert phases.count("output") > 20
    assert phases.count("candidates") > 20
    net_in = weights_in(net.cell).numpy()
    for k, weight in enumerate(reference.hidden):
        np.testing.assert_allclose(
            np.append(net_in[k, : 1 + F + k], net_in[k, -1]), weight, rtol=1e-7, atol=1e-9
        )
    np.testing.assert_allclose(net(data[0]), reference.answers(), rtol=1e-7)


@pytest.mark.slow
@by_op
def test_growth(rng):
    """Units come one by one, never change again, and each is worth something at once.

    What is not there is zero.
    """
    net, data = model(CascadeCorrelation(**SHORT)), batch(rng)
    run, history = epoch_of(net, data), []
    for _ in range(90):
        frozen, units = weights(net), int(of(net, "units"))
        before = float(run()[0])
        now, grown = weights(net), int(of(net, "units"))
        assert grown in (units, units + 1)
        np.testing.assert_array_equal(now["installed"], np.arange(3) < grown)
        for name in ("kernel", "recurrent", "bias"):
            np.testing.assert_array_equal(now[name][..., :units], frozen[name][..., :units])
            assert not now[name][..., grown:].any()
        assert not now["head_kernel"][grown:].any()
        if grown > units:
            assert now["kernel"][:, units].all()
            assert now["recurrent"][units] != 0
            after = float(tf.reduce_sum(net.head.error(data[1], net(data[0]), data[2])))
            history.append((before, after))
    assert len(history) == 3
    assert all(after < before for before, after in history), (
        "the sign of the first weights to the outputs"
    )


@pytest.mark.slow
@by_op
def test_counts_and_the_table_of_the_net(rng):
    net, data = model(CascadeCorrelation(**SHORT)), batch(rng)
    assert net.report().row == {
        "hidden_units": 0,
        "weights": K * (1 + F),
        "epochs": 0,
        "phase": "output",
    }
    run = epoch_of(net, data)
    seen = set()
    for _ in range(90):
        run()
        row = net.report().row
        units = row["hidden_units"]
        assert row["weights"] == sum(1 + F + k + 1 for k in range(units)) + K * (1 + F + units)
        seen.add(row["phase"])
    assert (row["hidden_units"], row["epochs"]) == (3, 90)
    assert seen == {"output", "candidates", "output, all places taken"}
    table = net.report().net
    assert (
        len(table["weight"])
        == row["weights"]
        == len(set(zip(table["to"], table["from"], strict=True)))
    )
    found = dict(zip(zip(table["to"], table["from"], strict=True), table["weight"], strict=True))
    assert found["unit_2", "unit_2"] == net.cell.recurrent.numpy()[1]
    assert found["unit_3", "unit_1"] == net.cell.cascade.numpy()[1]
    assert found["unit_1", "input_2"] == net.cell.kernel.numpy()[1, 0]
    assert found["output_2", "unit_3"] == net.head.kernel.numpy()[2, 1]
    assert found["output_1", "bias"] == net.head.bias.numpy()[0]


@pytest.mark.slow
def test_same_seed_same_net_bit_by_bit(rng):
    """Compiled, as in training: operation by operation TensorFlow draws other numbers from the
    same seed.
    """
    data, nets = batch(rng, "float32"), []
    for seed in (3, 3, 4):
        net = model(CascadeCorrelation(**SHORT, seed=seed), dtype="float32")
        run = epoch_of(net, data)
        for _ in range(30):
            run()
        nets.append(net)
    first, again, other = (weights(net) for net in nets)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert np.abs(first["kernel"] - other["kernel"]).max() > 1e-3
    assert int(of(nets[0], "units")) >= 1


@pytest.mark.slow
@by_op
def test_padding_and_steps_without_error_count_for_nothing(rng):
    """More padding, and other targets where w is 0, change no weight."""
    learner, (x, y, w) = CascadeCorrelation(**SHORT), batch(rng)
    noise = tf.where(w[..., None] > 0, y, 7.0)
    padded = [
        tf.pad(part, [(0, 0), (0, 3), *[(0, 0)] * (part.shape.rank - 2)]) for part in (x, noise, w)
    ]
    nets = [model(learner), model(learner)]
    for net, data in zip(nets, ((x, y, w), padded), strict=True):
        run = epoch_of(net, data)
        for _ in range(40):
            run()
    assert int(of(nets[0], "units")) >= 1
    for name, value in weights(nets[0]).items():
        np.testing.assert_allclose(weights(nets[1])[name], value, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@by_op
def test_state_is_saved_with_the_weights(rng, tmp_path):
    data = batch(rng)
    net, again = model(CascadeCorrelation(**SHORT)), model(CascadeCorrelation(**SHORT), seed=9)
    run = epoch_of(net, data)
    for _ in range(25):
        run()
    net.save_weights(str(tmp_path / "net.weights.h5"))
    again.load_weights(str(tmp_path / "net.weights.h5"))
    go_on = epoch_of(again, data)
    for _ in range(25):
        run()
        go_on()
    for name, value in weights(net).items():
        np.testing.assert_array_equal(weights(again)[name], value)
    assert int(of(again, "epochs")) == 50


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"candidates": 0}, "a positive integer. Received: learner.candidates=0"),
     ({"candidates": 1.5}, "a positive integer. Received: learner.candidates=1.5"),
     ({"limit": True}, "learner.limit=True"),
     ({"output_patience": 0}, "learner.output_patience=0"),
     ({"candidate_patience": "a"}, "learner.candidate_patience='a'"),
     ({"weight_range": 0}, "a number > 0. Received: learner.weight_range=0"),
     ({"output_rate": -1.0}, "output_rate=-1.0"),
     ({"candidate_growth": float("nan")}, "candidate_growth=nan"),
     ({"candidate_rate": "fast"}, "candidate_rate='fast'"),
     ({"multiplier": -1.0}, "a number >= 0. Received: learner.multiplier=-1.0"),
     ({"output_change": -0.1}, "a number >= 0. Received: learner.output_change=-0.1"),
     ({"candidate_decay": float("inf")}, "candidate_decay=inf"),
     ({"seed": 1.5}, "an integer >= 0 or null. Received: learner.seed=1.5")],
)  # fmt: skip
def test_settings_that_it_refuses(settings, expected):
    with pytest.raises(ValueError, match=r"CascadeCorrelation: expected") as error:
        CascadeCorrelation(**settings)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_cells_and_heads_that_it_refuses():
    learner = CascadeCorrelation()
    for cell, head, expected in (
        (
            GatedCell(3),
            Head(K, shortcuts=True),
            "expected cell=cascade, which has places for units that are still to come. "
            "Received: cell=GatedCell",
        ),
        (
            keras.layers.StackedRNNCells([CascadeCell(2)]),
            Head(K, shortcuts=True),
            "Received: cell=StackedRNNCells",
        ),
        (
            CascadeCell(3),
            Head(K),
            "Received: head=Head without shortcuts",
        ),
        (CascadeCell(3), Head(K, shortcuts=True, bias=None), "Received: head=Head without bias"),
        (CascadeCell(3), OutputUnits(K), "Received: head=OutputUnits without shortcuts and bias"),
    ):
        with pytest.raises(ValueError, match=r"^CascadeCorrelation: ") as error:
            Recurrent(cell, head, learner, features=F)
        assert expected in str(error.value)


def test_it_says_that_it_has_no_gradients(rng):
    net = model(CascadeCorrelation())
    with pytest.raises(ValueError, match=r"gives gradients .* Received: CascadeCorrelation"):
        giving_gradients(net.learner)


def test_streams_in_pieces_are_refused():
    with pytest.raises(
        ValueError,
        match=r"CascadeCorrelation: expected trainer.chunk=null, .*Received: trainer.chunk=5",
    ):
        model(CascadeCorrelation(), dtype="float32").carry(2, 5)


def test_any_learner_may_train_the_cell(rng):
    """All units are there in a new cell: the readout of a net grown elsewhere is not needed."""
    cell = CascadeCell(3)
    cell.build((None, F))
    np.testing.assert_array_equal(cell.installed, [1, 1, 1])
    assert forward(cell, tf.ones((2, 3, F))).shape == (2, 3, 3)
