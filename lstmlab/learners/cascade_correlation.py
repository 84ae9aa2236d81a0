"""Recurrent cascade-correlation: the network grows, one hidden unit at a time."""

from typing import Any

import keras
import tensorflow as tf

from lstmlab import checks
from lstmlab.errors import refusal
from lstmlab.learners import candidates as pools
from lstmlab.learners import grown
from lstmlab.learners.base import Batch, Learner, Report, Traits, forward
from lstmlab.learners.quickprop import patience, quickprop
from lstmlab.typing import Nest, Net, Tensor

OUTPUT, MEASURE, CANDIDATES = range(3)
PHASES = ("output", "candidates", "candidates")


class CascadeCorrelation(Learner):
    """Train the outputs and, when they stop improving, candidates for new units.

    The candidates are trained to follow the remaining error.

        (1) output phase: Quickprop on the weights into the outputs, from e_o = dE/dnet_o of the
            installed network
        (2) residual, fixed during a candidate phase: E_o(p) = (e_o(p) - mean e) / sum e^2
            p: steps with an error
        (3) candidate c: V(t) = f(sum_i w_i I_i(t) + w_s V(t-1))
            I: 1, inputs, installed units; V(0) = 0
        (4) correlation C_o = sum_p V(p) E_o(p);  score S = sum_o |C_o|
        (5) dV(t)/dw_i = f'(t) [I_i(t) + w_s dV(t-1)/dw_i]
            dV(t)/dw_s = f'(t) [V(t-1) + w_s dV(t-1)/dw_s]
        (6) dS/dw = sum_{p,o} sign(C_o) E_o(p) dV(p)/dw, with the signs of the previous epoch;
            Quickprop uphill
        (7) the candidate with the largest S is installed for good: its weights never change again,
            its weight to output o is -multiplier C_o; continue with (1)

    A phase ends when its patience runs out (see lstmlab.learners.quickprop) or after `limit`
    epochs; in a candidate phase, patience starts counting only after the first change of more than
    candidate_change. One update is one epoch of a phase on its batch, which is meant to be the
    whole training set: trainer.training_set = trainer.batch_size = trainer.window. The first epoch
    of a candidate phase draws the pool and only measures C, for the signs. Once all places in the
    cell are taken, only output phases follow. Steps without an error carry V forward; the optimizer
    is not used.

    Supports a CascadeCell with a head that has shortcuts and a bias, and any activation and loss;
    head.prime_offset is Fahlman's sigmoid-prime offset, 0.1. The result row has hidden_units, the
    number of `weights` of the grown network, epochs and phase.

    Args:
        candidates: Number of candidates in the pool.
        weight_range: Their initial weights are uniform in [-weight_range, weight_range]; the head
            sets those into the outputs.
        multiplier: See (7).
        limit: Maximum number of epochs in a phase.
        output_rate: Learning rate for the slope in (1), divided by the number of steps with an
            error.
        output_growth: See quickprop.
        output_decay: See quickprop.
        output_patience: See patience.
        output_change: See patience.
        candidate_rate: Learning rate for the slope in (6), divided by the number of steps with an
            error and by the number of a candidate's weights.
        candidate_growth: See quickprop.
        candidate_decay: See quickprop.
        candidate_patience: See patience.
        candidate_change: See patience.
        seed: Seed of the pools, an integer >= 0, or None for one derived from the run's seed.

    Raises:
        ValueError: For any other value, cell or head.

    References:
        Fahlman 1991; Fahlman & Lebiere 1990; details and defaults from Fahlman's program (public
        domain, Lisp).
    """

    traits = Traits(whole_set=True)

    def __init__(
        self,
        candidates: int = 8,
        weight_range: float = 1.0,
        multiplier: float = 1.0,
        limit: int = 200,
        output_rate: float = 0.35,
        output_growth: float = 2.0,
        output_decay: float = 0.0001,
        output_patience: int = 8,
        output_change: float = 0.01,
        candidate_rate: float = 1.0,
        candidate_growth: float = 2.0,
        candidate_decay: float = 0.0,
        candidate_patience: int = 8,
        candidate_change: float = 0.03,
        seed: int | None = None,
    ):
        def count(name: str, value: int) -> int:
            return checks.integer("CascadeCorrelation", f"learner.{name}", value)

        def positive(name: str, value: float) -> float:
            return checks.number("CascadeCorrelation", f"learner.{name}", value, above=0)

        def at_least_0(name: str, value: float) -> float:
            return checks.number("CascadeCorrelation", f"learner.{name}", value, 0)

        self.candidates = count("candidates", candidates)
        self.limit = count("limit", limit)
        self.weight_range = positive("weight_range", weight_range)
        self.multiplier = at_least_0("multiplier", multiplier)

        self.output_rate = positive("output_rate", output_rate)
        self.output_growth = positive("output_growth", output_growth)
        self.output_decay = at_least_0("output_decay", output_decay)
        self.output_patience = count("output_patience", output_patience)
        self.output_change = at_least_0("output_change", output_change)

        self.candidate_rate = positive("candidate_rate", candidate_rate)
        self.candidate_growth = positive("candidate_growth", candidate_growth)
        self.candidate_decay = at_least_0("candidate_decay", candidate_decay)
        self.candidate_patience = count("candidate_patience", candidate_patience)
        self.candidate_change = at_least_0("candidate_change", candidate_change)
        self.seed = checks.seed("CascadeCorrelation", "learner.seed", seed)

    def check(self, cell: Any) -> None:
        if not hasattr(cell, "sources"):
            expected = "cell=cascade, which has places for units that are still to come"
            raise refusal("CascadeCorrelation", expected, f"cell={type(cell).__name__}")

    def init(self, net: Net, streams: int | None = None) -> dict[str, Nest]:
        """Return the state, and take all units out of the cell, and their weights out of the head.

        phase, epoch of it, units there are, pools drawn, epochs in all; last and quit of patience;
        what Quickprop remembers of the weights to the outputs and of the pool; correlation: C.
        """
        cell, head = net.cell, net.head
        parts = {"shortcuts": "shortcut_kernel", "bias": "bias"}
        missing = [name for name, part in parts.items() if getattr(head, part, None) is None]
        if missing:
            expected = (
                "a head with shortcuts=true and a bias, since the outputs see these before there "
                "is any unit"
            )
            received = f"head={type(head).__name__} without {' and '.join(missing)}"
            raise refusal("CascadeCorrelation", expected, received)
        for weight in [*cell.weights, head.kernel]:
            weight.assign(tf.zeros_like(weight.value))

        seen = 1 + net.features + cell.units
        seed = keras.random.SeedGenerator(self.seed).state.numpy()[0]
        outputs = tf.zeros((seen, head.outputs), cell.dtype)
        pool = tf.zeros((self.candidates, seen + 1), cell.dtype)
        zero = tf.constant(0)
        return {
            "phase": zero, "epoch": zero, "units": zero, "pools": zero, "epochs": zero,
            "start": tf.constant(int(seed) % 2**31),
            "quit": tf.constant(self.output_patience),
            "last": tf.constant(-1.0, cell.dtype),
            "output_step": outputs, "output_slope": outputs,
            "pool": pool, "pool_step": pool, "pool_slope": pool,
            "correlation": tf.zeros((self.candidates, head.outputs), cell.dtype),
        }  # fmt: skip

    def update(self, net: Net, state: dict, batch: Batch) -> tuple[dict, Tensor, Tensor]:
        """One epoch of the present phase."""
        cell, head, (x, y, w, _) = net.cell, net.head, batch
        seen = tf.concat([tf.ones_like(x[..., :1]), x, forward(cell, x)], axis=-1)  # I of (3)
        now = {**state, "outputs": grown.weights_out(head), "net": grown.weights_in(cell)}

        sums = seen @ now["outputs"]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sums)
            prediction = head.activation(sums)
            loss = tf.reduce_sum(head.error(y, prediction, w))
        error = tape.gradient(loss, sums)  # e of (1)

        cases = tf.maximum(tf.math.count_nonzero(w, dtype=sums.dtype), 1)
        squared = tf.reduce_sum(w[..., None] * tf.square(prediction - y))
        left = pools.residual(error, w, cases)
        after = tf.switch_case(
            now["phase"],
            [
                lambda: self.output_epoch(now, seen, error, squared, cases),
                lambda: self.first_epoch(now, cell, seen, left),
                lambda: self.candidate_epoch(now, cell, seen, left, cases),
            ],
        )

        grown.assign_weights_out(head, after.pop("outputs"), x.shape[-1])
        grown.assign_weights_in(cell, after.pop("net"), after["units"])
        return {**after, "epochs": state["epochs"] + 1}, loss, prediction

    def output_epoch(
        self, now: dict, seen: Tensor, error: Tensor, squared: Tensor, cases: Tensor
    ) -> dict:
        """(1), and its end."""
        slope = tf.einsum("btp,bto->po", seen, error)
        outputs, step, slope = quickprop(
            now["outputs"], now["output_step"], now["output_slope"], slope,
            self.output_rate / cases, self.output_growth, self.output_decay,
        )  # fmt: skip

        epoch = now["epoch"] + 1
        last, quit, still = patience(
            squared, now["last"], now["quit"], epoch, self.output_patience, self.output_change
        )
        over = still | (epoch >= self.limit)
        full = now["units"] == now["net"].shape[0]
        return {
            **now,
            "outputs": outputs,
            "phase": tf.where(over & ~full, MEASURE, OUTPUT),
            **_ended(over, self.output_patience, epoch, last, quit),
            "output_step": tf.where(over, tf.zeros_like(step), step),
            "output_slope": tf.where(over, tf.zeros_like(slope), slope),
        }

    def first_epoch(self, now: dict, cell: Any, seen: Tensor, left: Tensor) -> dict:
        """Draw a pool, and measure its C."""
        pool = pools.draw(now["start"], now["pools"], now["pool"], self.weight_range) * _in_use(now)
        ones = tf.ones_like(now["correlation"])
        correlation, _ = pools.correlate(cell, pool, seen, left, ones)
        nothing = tf.zeros_like(pool)
        return {
            **now,
            "phase": tf.constant(CANDIDATES),
            "pools": now["pools"] + 1,
            "pool": pool,
            "correlation": correlation,
            "pool_step": nothing,
            "pool_slope": nothing,
            **_ended(tf.constant(True), self.limit, now["epoch"], now["last"], now["quit"]),
        }

    def candidate_epoch(
        self, now: dict, cell: Any, seen: Tensor, left: Tensor, cases: Tensor
    ) -> dict:
        """(3) to (6), and (7) at the end of the phase."""
        ones = tf.ones_like(now["correlation"])
        signs = tf.where(now["correlation"] < 0, -ones, ones)
        correlation, uphill = pools.correlate(cell, now["pool"], seen, left, signs)

        number = tf.reduce_sum(_in_use(now))
        pool, step, slope = quickprop(
            now["pool"], now["pool_step"], now["pool_slope"], -uphill,
            self.candidate_rate / (cases * number), self.candidate_growth, self.candidate_decay,
        )  # fmt: skip

        # by gathers: XLA would compile each slice at a new place anew
        scores = tf.reduce_sum(tf.abs(correlation), axis=1)
        best = tf.argmax(scores, output_type=tf.int32)
        winner, to_outputs = tf.gather(pool, best), tf.gather(correlation, best)

        epoch = now["epoch"] + 1
        last, quit, still = patience(
            tf.reduce_max(scores), now["last"], now["quit"], epoch,
            self.candidate_patience, self.candidate_change,
        )  # fmt: skip
        over = still | (epoch >= self.limit)

        places, units = now["net"].shape[0], now["units"]
        here = over & (tf.range(places) == units)
        there = over & (tf.range(seen.shape[-1]) == seen.shape[-1] - places + units)
        return {
            **now,
            "pool": pool, "pool_step": step, "pool_slope": slope, "correlation": correlation,
            "phase": tf.where(over, OUTPUT, CANDIDATES),
            **_ended(over, self.output_patience, epoch, last, quit),
            "units": units + tf.cast(over, "int32"),  # (7)
            "net": tf.where(here[:, None], winner, now["net"]),
            "outputs": tf.where(there[:, None], -self.multiplier * to_outputs, now["outputs"]),
        }  # fmt: skip

    def report(self, net: Net, state: dict) -> Report:
        units, phase, first = int(state["units"]), int(state["phase"]), 1 + net.features
        weights = sum(first + k + 1 for k in range(units)) + net.head.outputs * (first + units)
        full = units == net.cell.units and phase == OUTPUT
        row = {
            "hidden_units": units,
            "weights": weights,
            "epochs": int(state["epochs"]),
            "phase": "output, all places taken" if full else PHASES[phase],
        }
        return Report(row=row, net=grown.table(net.cell, net.head, net.features, units))


def _ended(over: Tensor, quit_of_next: int, epoch: Tensor, last: Tensor, quit: Tensor) -> dict:
    """The state of patience, begun anew where a phase is over."""
    return {
        "epoch": tf.where(over, 0, epoch),
        "last": tf.where(over, -tf.ones_like(last), last),
        "quit": tf.where(over, quit_of_next, quit),
    }


def _in_use(now: dict) -> Tensor:
    """Return [P + 1]: 1 for weights from bias, inputs, installed units and the unit itself."""
    places, seen = now["net"].shape[0], now["outputs"].shape[0]
    k = tf.range(seen + 1)
    return tf.cast((k < seen - places + now["units"]) | (k == seen), now["pool"].dtype)
