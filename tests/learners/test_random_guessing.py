"""Random guessing: what is kept, what is counted, and that it finds an easy task's net."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import Head, OutputUnits, Recurrent, variant
from lstmlab.learners import RandomGuessing

B, T = 8, 5


def model(learner, head=None):
    keras.utils.set_random_seed(3)
    made = Recurrent(variant("elman", 2), head or Head(1, "sigmoid"), learner, features=1)
    made.compile("sgd", jit_compile=True)
    return made


def guessed(net):
    return net.learner_state.variables["guessed"].numpy()


def batch(rng):
    x = rng.choice([-1.0, 1.0], size=(B, T, 1)).astype("float32")
    w = np.zeros((B, T), "float32")
    w[:, -1] = 1
    return tf.constant(x), tf.constant((x > 0).astype("float32")), tf.constant(w)


def worst(net, x, y, w):
    return float(tf.reduce_max(tf.abs(net(x) - y) * w[..., None]))


@pytest.mark.slow
def test_the_largest_error_never_grows_and_weights_change_with_it_alone(rng):
    net, data = model(RandomGuessing(a=10.0)), batch(rng)
    learn = tf.function(lambda: net.learn(*data), jit_compile=True, autograph=False)
    errors, kept = [worst(net, *data)], 0
    for _ in range(200):
        before, counted = net.get_weights(), guessed(net)
        loss, prediction = learn()
        errors.append(worst(net, *data))
        np.testing.assert_allclose(prediction, net(data[0]), atol=1e-6)
        np.testing.assert_allclose(
            loss, tf.reduce_sum(net.head.error(data[1], prediction, data[2])), rtol=1e-5
        )
        trained = [w.numpy() for w in net.trainable_variables]
        changed = any(
            not np.array_equal(one, other) for one, other in zip(trained, before, strict=False)
        )
        assert changed == (errors[-1] < errors[-2])
        assert guessed(net)[0] == counted[0] + 1
        assert guessed(net)[1] == (counted[0] + 1 if changed else counted[1])
        kept += changed
        assert not changed or max(np.abs(w).max() for w in trained) <= 10
    assert 2 <= kept <= 40
    assert np.all(np.diff(errors) <= 0)
    assert net.report().row == {
        "guesses": int(guessed(net)[1]),
        "guesses_in_all": 200,
    }


@pytest.mark.slow
def test_padding_does_not_count(rng):
    """A step without error, however wrong, is not looked at.

    Here the answers of steps with w = 0 are out of reach.
    """
    net, (x, y, w) = model(RandomGuessing(guesses=300)), batch(rng)
    far = tf.where(w[..., None] > 0, y, 1000.0)
    net.learn(x, far, w)
    assert worst(net, x, y, w) < 0.1


def test_weights_fill_the_range_and_seeds_tell_runs_apart(rng):
    drawn = []
    for seed in (1, 1, 2):
        net = model(RandomGuessing(a=3.0, guesses=40, seed=seed), OutputUnits(1, "tanh"))
        net.learn(*batch(np.random.default_rng(0)))
        drawn.append(np.concatenate([w.numpy().ravel() for w in net.trainable_variables]))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.isin(drawn[0], drawn[2]).any()
    assert np.abs(drawn).max() <= 3.0


def test_what_it_refuses():
    for settings, text in (({"a": 0}, "a number > 0. Received: learner.a=0"),
                           ({"guesses": 0}, "learner.guesses=0"),
                           ({"seed": 1.5}, "learner.seed=1.5")):  # fmt: skip
        with pytest.raises(ValueError, match=f"RandomGuessing: expected .*{text}"):
            RandomGuessing(**settings)
