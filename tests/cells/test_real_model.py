"""A small model that a stranger would write: trained, saved, and loaded by a process that knows
lstmlab alone.

Handwritten digits (tasks/pixels.py), read column by column from the left: sequences of columns of 8
numbers. Blank columns on either side are cut off, so lengths differ. Two layers in both directions
tell ten digits apart.
"""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from lstmlab.tasks.pixels import DIGITS

from lstmlab import GatedRNN

layers = keras.layers
STEPS, TRAINED = 8, 1200

ELSEWHERE = """
{imports}
import sys
import numpy as np
import keras
model = keras.models.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), batch_size=64, verbose=0))
assert not [name for name in sys.modules if name.startswith("test_")]
"""


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The images' columns without the blank ones on either side, padded with zeros at the end
    [1797, 8, 8]; their classes.
    """
    table = np.loadtxt(DIGITS, delimiter=",")
    images, y = table[:, :64], table[:, 64].astype(int)
    padded = np.zeros((len(y), STEPS, 8), "float32")
    for sequence, image in zip(padded, images.reshape(-1, 8, 8) / 16, strict=True):
        inked = np.flatnonzero(image.any(axis=0))
        columns = image.T[inked[0] : inked[-1] + 1]
        sequence[: len(columns)] = columns
    return padded, y


@pytest.fixture(scope="module")
def trained():
    """The model after 6 epochs on 1200 digits, and the other 597."""
    keras.utils.set_random_seed(1997)
    x, y = digits()
    model = keras.Sequential(
        [
            keras.Input((None, 8)),
            layers.Masking(),
            layers.Bidirectional(
                GatedRNN(16, "peephole", return_sequences=True, kernel_initializer="glorot_uniform")
            ),
            layers.Bidirectional(GatedRNN(16, "gru", dropout=0.1)),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x[:TRAINED], y[:TRAINED], batch_size=32, epochs=6, verbose=0)
    return model, x[TRAINED:], y[TRAINED:]


def test_lengths_differ():
    x, y = digits()
    lengths = x.any(axis=-1).sum(axis=1)
    assert np.unique(lengths).size >= 4
    assert np.mean(lengths < STEPS) > 0.5
    assert np.unique(y).size == 10


@pytest.mark.slow
def test_it_learns_and_padding_changes_nothing(trained):
    """Chance is 10 %; a digit without its zeros is answered as with them."""
    model, x, y = trained
    answers = model.predict(x, verbose=0)
    assert np.mean(answers.argmax(axis=1) == y) > 0.7
    for row in np.argsort(x.any(axis=-1).sum(axis=1))[:3]:
        alone = x[row : row + 1, x[row].any(axis=-1)]
        assert alone.shape[1] < STEPS
        np.testing.assert_allclose(model.predict(alone, verbose=0)[0], answers[row], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("imports", ["import lstmlab, keras", "import keras, lstmlab"])
def test_saved_and_loaded_in_a_new_process_the_predictions_are_the_same_bits(
    imports, trained, tmp_path
):
    """With lstmlab imported, before Keras or after it, and nothing else registered."""
    model, x, _ = trained
    model.save(tmp_path / "digits.keras")
    np.save(tmp_path / "x.npy", x)
    expected = model.predict(x, batch_size=64, verbose=0)
    command = [
        sys.executable,
        "-c",
        ELSEWHERE.format(imports=imports),
        "digits.keras",
        "x.npy",
        "answers.npy",
    ]
    limits = {
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }  # sums in the same order
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, **limits}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), expected)
    assert np.ptp(expected) > 0.5
