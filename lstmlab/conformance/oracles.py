"""What the numeric tests measure against: random weights, and finite differences."""

import numpy as np


def randomize(layer, rng, scale: float = 0.7) -> None:
    """Give every weight of the layer a value of its own."""
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape, scale=scale))


def finite_differences(error, arrays: list[np.ndarray], step: float = 1e-5) -> list[np.ndarray]:
    """Central differences of error(arrays) -> number, for every element of every array."""
    gradients = []
    for array in arrays:
        gradient = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            middle = array[place]
            array[place] = middle + step
            above = error(arrays)
            array[place] = middle - step
            gradient[place] = (above - error(arrays)) / (2 * step)
            array[place] = middle
        gradients.append(gradient)
    return gradients


def weight_differences(error, weights: list) -> list[np.ndarray]:
    """Central differences of error() -> number for every element of the Keras weights, which keep
    their values.
    """

    def at(arrays):
        for weight, array in zip(weights, arrays, strict=True):
            weight.assign(array)
        return float(error())

    before = [weight.numpy() for weight in weights]
    gradients = finite_differences(at, [value.copy() for value in before])
    at(before)
    return gradients


def assert_gradients(actual, expected, rtol: float, atol: float) -> float:
    """Every gradient close to the expected one and none of them zero.

    Returns the largest difference.
    """
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert np.abs(np.asarray(other)).max() > 100 * atol
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), rtol=rtol, atol=atol)
    return max(
        np.abs(np.asarray(one) - np.asarray(other)).max()
        for one, other in zip(actual, expected, strict=True)
    )
