"""The door to a kernel: arrays of the right size and kind, checked before it is entered."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from lstmlab.native.compiled import compiled
from lstmlab.native.growth import Growth
from lstmlab.native.kernel import Written, write
from lstmlab.native.loops import PIECES, SEQUENCES, STREAM, Plan
from lstmlab.native.writing import LANES


class Inputs:
    """Inputs that kernels are given by their addresses.

    Attributes:
        steps, features, outputs: T, F and K of the sequences.
        readouts: The largest number of steps with an error in one of them.
    """

    steps: int
    readouts: int
    features: int
    outputs: int

    def __init__(self) -> None:
        self._inputs: WeakValueDictionary[int, np.ndarray] = WeakValueDictionary()

    def address(self, x: np.ndarray) -> int:
        """The address of inputs [N, T, F] of a lane, for `run`; the array must live until then."""
        expect("x", x, "float32", (*np.shape(x)[:1], self.steps, self.features))
        self._inputs[x.ctypes.data] = x
        return x.ctypes.data

    def _held(self, x: np.ndarray, n: int) -> list[np.ndarray]:
        """The inputs at these addresses, so that they live while a kernel reads them."""
        held = [self._inputs.get(int(at)) for at in x]
        if any(one is None or len(one) < n for one in held):
            raise ValueError(
                f"native: x: expected addresses that Engine.address gave, of {n} sequences each, "
                "which are still there"
            )
        return held  # type: ignore[return-value]  # none is None

    def _checked(
        self, lanes: int, symbols: bool, x: np.ndarray, codes: np.ndarray, place: np.ndarray,
        target: np.ndarray, weight: np.ndarray, begins: np.ndarray, rates: np.ndarray,
    ) -> tuple[np.ndarray, list[np.ndarray]]:  # fmt: skip
        """Zeros for predictions [L, N, readouts, K], and the inputs, which must live until then.

        Raises:
            ValueError: For arrays that `run` would misread.
        """
        if np.ndim(place) != 3:
            received = np.shape(place)
            raise ValueError(f"native: place: expected [L, N, readouts + 1]. Received: {received}")
        n = np.shape(place)[1]
        prediction = np.zeros((lanes, n, self.readouts, self.outputs), "float32")
        expect("place", place, "int32", (lanes, n, self.readouts + 1))
        expect("target", target, "float32", prediction.shape)
        expect("weight", weight, "float32", (lanes, n, self.readouts))
        expect("begins", begins, "bool", (lanes, n))
        expect("rates", rates, "float32", (n, lanes))
        if not rises_to(place, self.steps):
            raise ValueError("native: place: expected steps of the sequence, each once, then T")
        if not symbols:
            expect("x", x, "int64", (lanes,))
            return prediction, self._held(x, n)
        expect("codes", codes, "int16", (lanes, n, self.steps))
        if codes.size and not 0 <= codes.min() <= codes.max() < self.features:
            raise ValueError(f"native: codes: expected 0 to {self.features - 1}")
        return prediction, []


class Engine(Inputs):
    """A kernel and the memory of 16 lanes, in each of which one trial learns.

    Args:
        cell, head: Built.
        plan: See Plan.
        steps: T of the sequences, or of the pieces of streams.
        readouts: The largest number of steps with an error in one of them.

    Attributes:
        weights: The number of weights; `put` and `take` give a lane's as the flat Keras weights.
        growth: What lanes keep of networks that grow, or None.

    Raises:
        ValueError: For steps or readouts that are none.
        NotImplementedError, KeyError: See `write`.
    """

    lanes = LANES

    def __init__(self, cell: Any, head: Any, plan: Plan, steps: int, readouts: int):
        super().__init__()
        whole("steps", steps, 1)
        whole("readouts", readouts, 0)
        self.plan, self.steps, self.readouts = plan, int(steps), int(readouts)
        self.written: Written = write(cell, head, plan)
        self.layout = self.written.layout
        self.kernel = compiled(self.written.source)
        layout = self.layout
        self.features, self.outputs = layout.features, layout.outputs
        self.weights = layout.of_cell + layout.of_head
        self.theta = vectors(self.weights)
        self.grad = vectors(self.weights)
        self.slots = vectors(self.written.slots)
        self.powers = vectors(2)
        self.powers[:] = 1
        self.memory = vectors(layout.memory[1])
        self.carried = vectors(self.written.carried)
        back = plan.rule == "backward"
        self.tape = vectors(self.written.tape * (steps + 1) if back else 0)
        self.kept = vectors(self.written.kept * steps if back else 0)
        events = min(steps, LANES * readouts)
        self.told = vectors(events * layout.units if back else 0)
        self.told_at = np.zeros(events, np.int64)
        self.now = vectors(2 * layout.outputs + 5)
        self.passed = np.zeros(LANES, np.int64)
        self.stop = np.zeros(1, np.int32)
        self.growth = Growth(layout) if plan.grows else None

    def fit(self, steps: int, readouts: int) -> None:
        """Take sequences of another length, and with more or fewer errors, from now on.

        Raises:
            ValueError: The rule is 'backward', which keeps what every step did.
        """
        if self.plan.rule == "backward":
            raise ValueError("native: fit: expected a rule that keeps no steps. Received: backward")
        whole("steps", steps, 1)
        whole("readouts", readouts, 0)
        self.steps, self.readouts = int(steps), int(readouts)
        self._inputs.clear()  # of sequences that may be shorter

    def put(self, lane: int, weights: np.ndarray) -> None:
        """Begin a trial in a lane with these weights, flat, in the order of the Keras weights.

        A network that grows has its cells: see Growth.put.
        """
        if np.shape(weights) != (self.weights,) or not 0 <= lane < LANES:
            raise ValueError(
                f"native: put: expected a lane below {LANES} and weights {(self.weights,)}. "
                f"Received: lane={lane}, weights {np.shape(weights)}"
            )
        self.theta[:, lane] = weights[self.layout.places]
        self.grad[:, lane] = 0
        self.slots[:, lane] = 0
        self.powers[:, lane] = 1
        if self.growth is not None:
            self.growth.put(lane, None)

    def take(self, lane: int) -> np.ndarray:
        """The weights of a lane."""
        return self._flat(self.theta[:, lane])

    def gradient(self, lane: int) -> np.ndarray:
        """The gradient that a kernel without an optimizer has left in a lane."""
        return self._flat(self.grad[:, lane])

    def state(self, lane: int) -> dict:
        """What the learner's state has of the window: of networks that grow alone."""
        return self.growth.take(lane) if self.growth else {}

    def _flat(self, rows: np.ndarray) -> np.ndarray:
        flat = np.zeros(self.weights, "float32")
        flat[self.layout.places] = rows
        return flat

    def run(
        self,
        x: np.ndarray,
        codes: np.ndarray,
        place: np.ndarray,
        target: np.ndarray,
        weight: np.ndarray,
        begins: np.ndarray,
        rates: np.ndarray,
        numbers: np.ndarray,
        every: int = 0,
        batch: int = 1,
        through: bool = False,
        phase: int = 0,
        whole_sequences: bool = False,
    ) -> tuple[int, np.ndarray]:
        """Learn N sequences in every lane.

        Args:
            x: For each lane what `address` gave for its inputs, int64 [L].
            codes: Symbols [L, N, T], int16, in place of x.
            place: The steps with an error, in order, then T; int32 [L, N, readouts + 1].
            target: [L, N, readouts, K], float32.
            weight: [L, N, readouts], float32.
            begins: Which sequences begin one, and do not go on with that before; bool [L, N].
            rates: The learning rate of each sequence and lane, float32 [N, L].
            numbers: momentum, second, epsilon, prime offset, decay, decay steps; of networks that
                grow also the period, and the share of E_(k-1) above which E_k adds the cells.
            every: Steps between two changes of the weights; 0 for one per sequence.
            batch: Sequences per change.
            phase: Sequences since the last batch began.
            through: Whether to take all steps of each, also beyond the last error: of streams, and
                of pieces of sequences.
            whole_sequences: Whether weights change after `batch` units also with `through`, and
                not after each that has an error.

        Returns:
            How many sequences were learned, and predictions [L, N, readouts, K].

        Raises:
            ValueError: For anything else.
        """
        given = x, codes, place, target, weight, begins, rates
        prediction, held = self._checked(LANES, self.plan.symbols, *given)
        expect("numbers", numbers, "float64", (8 if self.growth else 6,))
        whole("every", every, 0)
        whole("batch", batch, 1)
        whole("phase", phase, 0)
        if numbers[4] != 1 and not numbers[5] >= 1:
            raise ValueError(f"native: numbers: expected decay steps. Received: {numbers[5]}")
        if self.growth and not numbers[6] >= 1:
            raise ValueError(f"native: numbers: expected a period. Received: {numbers[6]}")
        form = SEQUENCES if not through else PIECES if whole_sequences else STREAM
        done = self.kernel(
            x, codes, self.steps, place, target, weight, begins, self.passed,
            self.theta, self.grad, self.slots, self.powers, self.memory, self.carried,
            self.tape, self.kept, self.told, self.told_at, self.now, prediction,
            rates, numbers, int(every), int(batch), int(phase), form, self.stop,
            *(self.growth.arguments if self.growth else ()),
        )  # fmt: skip
        del held
        return done, prediction


def vectors(count: int) -> np.ndarray:
    """Zeros, float32 [count, L], whose first byte begins a line of the processor's cache."""
    size = max(count, 1) * LANES
    raw = np.zeros(size + 16, "float32")
    first = (-raw.ctypes.data % 64) // 4
    return raw[first : first + size].reshape(-1, LANES)


def rises_to(place: np.ndarray, steps: int) -> bool:
    """Whether each row of places [..., readouts + 1] rises from 0 or more, and then stays at T."""
    if not place.size:
        return True
    now, before = place[..., 1:], place[..., :-1]
    inside = place.min() >= 0 and (place[..., -1] == steps).all()
    return bool(inside and ((now > before) | (now == steps)).all())


def whole(name: str, number: Any, least: int) -> None:
    """Raise ValueError for what is no whole number from `least` on."""
    fine = isinstance(number, (int, np.integer)) and not isinstance(number, bool)
    if not fine or number < least:
        raise ValueError(
            f"native: {name}: expected a whole number >= {least}. Received: {number!r}"
        )


def expect(name: str, array: np.ndarray, dtype: str, shape: tuple) -> None:
    """Raise ValueError for an array that a kernel would misread."""
    fine = isinstance(array, np.ndarray) and array.dtype == dtype and array.shape == shape
    if not fine or not array.flags.c_contiguous:
        received = f"{getattr(array, 'dtype', type(array).__name__)} {getattr(array, 'shape', '')}"
        raise ValueError(
            f"native: {name}: expected contiguous {dtype} {shape}. Received: {received}"
        )
