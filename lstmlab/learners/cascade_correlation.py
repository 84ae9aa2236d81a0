"""Recurrent cascade-correlation: the net grows, one hidden unit after the other."""

import keras
import numpy as np
import tensorflow as tf

from lstmlab.learners.base import Learner, forward, positive
from lstmlab.learners.quickprop import patience, quickprop

OUTPUT, MEASURE, CANDIDATES = range(3)
PHASES = ("output", "candidates", "candidates")


class CascadeCorrelation(Learner):
    """Train the outputs; when that stands still, train a pool of candidates to follow the error left, and keep the best.

        (1) output phase: Quickprop on the weights into the outputs, from e_o = dE/dnet_o of what is installed
        (2) residual, fixed for a candidate phase: E_o(p) = (e_o(p) - mean e) / sum e^2        p: steps with an error
        (3) candidate c: V(t) = f(sum_i w_i I_i(t) + w_s V(t-1))        I: 1, inputs, installed units; V(0) = 0
        (4) correlation C_o = sum_p V(p) E_o(p);  score S = sum_o |C_o|
        (5) dV(t)/dw_i = f'(t) [I_i(t) + w_s dV(t-1)/dw_i];  dV(t)/dw_s = f'(t) [V(t-1) + w_s dV(t-1)/dw_s]
        (6) dS/dw = sum_{p,o} sign(C_o) E_o(p) dV(p)/dw, the signs those of the epoch before; Quickprop uphill
        (7) the candidate with the largest S is installed for good: its weights never change again, its weight to output o is
            -multiplier C_o; on with (1)

    A phase ends by patience (see lstmlab.learners.quickprop) or after `limit` epochs; the patience of a candidate phase begins
    with its first change by more than candidate_change. One call of `learn` is one epoch of a phase on its batch, which is
    meant to be the whole training set: trainer.training_set = trainer.batch_size = trainer.window. The first epoch of a
    candidate phase draws the pool and only measures C, for the signs. Once all places of the cell are taken, output phases
    follow one another. Steps without an error carry V on; the optimizer is not used.

    candidates: in the pool. weight_range: their first weights are uniform in [-weight_range, weight_range]; those into the
    outputs are the head's. multiplier: see (7). limit: epochs of a phase at most. For each phase rate (of the slope, divided by
    the number of steps with an error; for candidates also by their number of weights), growth and decay: see quickprop;
    patience, change: see patience. seed: of the pools, None for one that follows from the run's. head.prime_offset is Fahlman's
    sigmoid-prime offset, 0.1.
    For a CascadeCell and a head with shortcuts and bias, of any activation and loss. The result row has hidden_units, `weights`
    of the net as it has grown, epochs and phase. Raises ValueError for other cells, heads and settings.
    Source: Fahlman 1991; Fahlman & Lebiere 1990; details and defaults from Fahlman's program (public domain, Lisp).
    """

    candidates: int
    limit: int
    output_patience: int
    candidate_patience: int
    weight_range: float
    multiplier: float
    output_rate: float
    output_growth: float
    output_decay: float
    output_change: float
    candidate_rate: float
    candidate_growth: float
    candidate_decay: float
    candidate_change: float

    whole_set = True

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
        for name, value in {"candidates": candidates, "limit": limit, "output_patience": output_patience,
                            "candidate_patience": candidate_patience}.items():  # fmt: skip
            setattr(self, name, positive(self, name, value))
        above_0 = {"weight_range": weight_range, "output_rate": output_rate, "output_growth": output_growth,
                   "candidate_rate": candidate_rate, "candidate_growth": candidate_growth}  # fmt: skip
        from_0 = {"multiplier": multiplier, "output_decay": output_decay, "output_change": output_change,
                  "candidate_decay": candidate_decay, "candidate_change": candidate_change}  # fmt: skip
        for name, number in {**above_0, **from_0}.items():
            fine = (
                isinstance(number, (int, float))
                and not isinstance(number, bool)
                and number < float("inf")
            )
            if not fine or not (number > 0 or (number == 0 and name in from_0)):
                expected = "a number >= 0" if name in from_0 else "a positive number"
                raise ValueError(
                    f"CascadeCorrelation: expected {expected}. Received: learner.{name}={number!r}"
                )
            setattr(self, name, float(number))
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise ValueError(
                f"CascadeCorrelation: expected an integer or null. Received: learner.seed={seed!r}"
            )
        self.seed = seed

    def check(self, cell) -> None:
        if not hasattr(cell, "sources"):
            raise ValueError(
                "CascadeCorrelation: lets a cell grow that has places for units; expected cell=cascade. "
                f"Received: cell={type(cell).__name__}"
            )

    def prepare(self, model) -> None:
        """Take all units out of the cell, and their weights out of the head; the state of the phases, saved with the model."""
        cell, head = model.cell, model.head
        parts = {"shortcuts": "shortcut_kernel", "bias": "bias"}
        missing = [name for name, part in parts.items() if getattr(head, part, None) is None]
        if missing:
            raise ValueError(
                "CascadeCorrelation: the outputs see the inputs and a bias before there is any unit; expected a head with "
                f"shortcuts=true and a bias. Received: head={type(head).__name__} without {' and '.join(missing)}"
            )
        for weight in [*cell.weights, head.kernel]:
            weight.assign(tf.zeros_like(weight.value))
        seen = 1 + model.features + cell.units
        model.growth = Growth(
            seen,
            self.candidates,
            head.outputs,
            keras.random.SeedGenerator(self.seed),
            dtype=cell.dtype,
        )
        model.growth.quit.assign(self.output_patience)

    def learn(self, model, x, y, w):
        """One epoch of the present phase."""
        growth, cell, head = model.growth, model.cell, model.head
        seen = tf.concat(
            [tf.ones_like(x[..., :1]), x, forward(cell, x)], axis=-1
        )  # I of (3), [B, T, 1 + F + n]
        before = {weight.name: tf.convert_to_tensor(weight.value) for weight in growth.kept}
        before["outputs"] = tf.concat([head.bias[None], head.shortcut_kernel, head.kernel], axis=0)
        before["net"] = self.weights_in(cell)
        net = seen @ before["outputs"]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(net)
            prediction = head.activation(net)
            loss = tf.reduce_sum(head.error(y, prediction, w))
        error = tape.gradient(loss, net)
        cases = tf.maximum(tf.math.count_nonzero(w, dtype=net.dtype), 1)
        squared = tf.reduce_sum(w[..., None] * tf.square(prediction - y))
        residual = self.residual(error, w, cases)
        after = tf.switch_case(
            before["phase"],
            [
                lambda: self.output_epoch(before, seen, error, squared, cases),
                lambda: self.first_epoch(
                    before, cell, seen, residual, tf.convert_to_tensor(growth.start.value)
                ),
                lambda: self.candidate_epoch(before, cell, seen, residual, cases),
            ],
        )
        for weight in growth.kept:
            weight.assign(after[weight.name])
        growth.epochs.assign_add(1)
        features = x.shape[-1]
        head.bias.assign(after["outputs"][0])
        head.shortcut_kernel.assign(after["outputs"][1 : 1 + features])
        head.kernel.assign(after["outputs"][1 + features :])
        self.assign_weights_in(cell, after["net"], after["units"])
        return loss, prediction

    def output_epoch(self, now: dict, seen, error, squared, cases) -> dict:
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
            **now, "outputs": outputs,
            "phase": tf.where(over & ~full, MEASURE, OUTPUT),
            **self._ended(over, self.output_patience, epoch, last, quit),
            "output_step": tf.where(over, tf.zeros_like(step), step),
            "output_slope": tf.where(over, tf.zeros_like(slope), slope),
        }  # fmt: skip

    def first_epoch(self, now: dict, cell, seen, residual, start) -> dict:
        """A pool is drawn, and its C measured."""
        pool = self.draw(start, now["pools"], now["pool"]) * self._in_use(now)
        correlation, _ = self.correlate(
            cell, pool, seen, residual, tf.ones_like(now["correlation"])
        )
        nothing = tf.zeros_like(pool)
        return {
            **now, "phase": tf.constant(CANDIDATES), "pools": now["pools"] + 1, "pool": pool, "correlation": correlation,
            "pool_step": nothing, "pool_slope": nothing,
            **self._ended(tf.constant(True), self.limit, now["epoch"], now["last"], now["quit"]),
        }  # fmt: skip

    def candidate_epoch(self, now: dict, cell, seen, residual, cases) -> dict:
        """(6), and (7) at the end of the phase."""
        signs = tf.where(
            now["correlation"] < 0,
            -tf.ones_like(now["correlation"]),
            tf.ones_like(now["correlation"]),
        )
        correlation, uphill = self.correlate(cell, now["pool"], seen, residual, signs)
        number = tf.reduce_sum(self._in_use(now))
        pool, step, slope = quickprop(
            now["pool"], now["pool_step"], now["pool_slope"], -uphill,
            self.candidate_rate / (cases * number), self.candidate_growth, self.candidate_decay,
        )  # fmt: skip
        scores = tf.reduce_sum(tf.abs(correlation), axis=1)
        best = tf.argmax(
            scores, output_type=tf.int32
        )  # gathered below: XLA would compile each slice at a new place anew
        score, winner, its_correlation = (
            tf.reduce_max(scores),
            tf.gather(pool, best),
            tf.gather(correlation, best),
        )
        epoch = now["epoch"] + 1
        last, quit, still = patience(
            score, now["last"], now["quit"], epoch, self.candidate_patience, self.candidate_change
        )
        over = still | (epoch >= self.limit)
        units, features = now["units"], seen.shape[-1] - now["net"].shape[0] - 1
        here = over & (tf.range(now["net"].shape[0]) == units)
        there = over & (tf.range(seen.shape[-1]) == 1 + features + units)
        return {
            **now, "pool": pool, "pool_step": step, "pool_slope": slope, "correlation": correlation,
            "phase": tf.where(over, OUTPUT, CANDIDATES), "units": units + tf.cast(over, "int32"),
            **self._ended(over, self.output_patience, epoch, last, quit),
            "net": tf.where(here[:, None], winner, now["net"]),
            "outputs": tf.where(there[:, None], -self.multiplier * its_correlation, now["outputs"]),
        }  # fmt: skip

    @staticmethod
    def residual(error, w, cases):
        """(2): [B, T, K], 0 at steps without an error."""
        mean = tf.reduce_sum(error) / (cases * error.shape[-1])
        apart = tf.math.divide_no_nan(error - mean, tf.reduce_sum(tf.square(error)))
        return tf.where((w != 0)[..., None], apart, tf.zeros_like(apart))

    @staticmethod
    def correlate(cell, pool, seen, residual, signs):
        """C [C, K] of (4), and dS/dw [C, P + 1] of (6) for these signs; the last weight is the self weight."""
        seen, residual = (
            tf.transpose(seen, [1, 2, 0]),
            tf.transpose(residual, [1, 2, 0]),
        )  # [T, P, B], [T, K, B]
        own, nets = pool[:, -1:], tf.einsum("cp,tpb->tcb", pool[:, :-1], seen)
        pull = tf.einsum("ck,tkb->tcb", signs, residual)
        steps = nets.shape[0]
        values = tf.TensorArray(nets.dtype, size=steps, element_shape=nets.shape[1:])

        def body(t, value, slopes, total, values):
            new = cell.f(nets[t] + own * value)  # (3)
            known = tf.concat(
                [tf.broadcast_to(seen[t], (pool.shape[0], *seen.shape[1:])), value[:, None]], axis=1
            )
            slopes = cell.slope(new)[:, None] * (known + own[..., None] * slopes)  # (5)
            return t + 1, new, slopes, total + pull[t][:, None] * slopes, values.write(t, new)

        nothing = tf.zeros((*pool.shape, nets.shape[-1]), nets.dtype)  # [C, P + 1, B]
        start = tf.constant(0), tf.zeros_like(nets[0]), nothing, nothing, values
        *_, total, values = tf.while_loop(
            lambda t, *_: t < steps, body, start, maximum_iterations=steps
        )
        return tf.einsum("tcb,tkb->ck", values.stack(), residual), tf.reduce_sum(total, axis=-1)

    def draw(self, start, number, like):
        """Pool `number` [C, P + 1] of the run."""
        bound = tf.cast(self.weight_range, like.dtype)
        return tf.random.stateless_uniform(
            like.shape, tf.stack([start, number]), -bound, bound, like.dtype, alg="philox"
        )

    @staticmethod
    def _ended(over, quit_of_next: int, epoch, last, quit) -> dict:
        """The state of patience, begun anew where a phase is over."""
        return {
            "epoch": tf.where(over, 0, epoch),
            "last": tf.where(over, -tf.ones_like(last), last),
            "quit": tf.where(over, quit_of_next, quit),
        }

    @staticmethod
    def _in_use(now: dict):
        """[P + 1]: 1 for the weights from the bias, the inputs, the units there are, and from itself."""
        places, seen = now["net"].shape[0], now["outputs"].shape[0]
        k = tf.range(seen + 1)
        return tf.cast((k < seen - places + now["units"]) | (k == seen), now["pool"].dtype)

    @staticmethod
    def weights_in(cell):
        """What leads into each place of the cell, [n, P + 1]: from the bias, the inputs, the units, and from itself."""
        n = cell.units
        between = tf.zeros((n, n), cell.kernel.dtype)
        if n > 1:
            between = tf.scatter_nd(
                np.stack([cell.targets, cell.sources], axis=1), cell.cascade.value, (n, n)
            )
        return tf.concat(
            [cell.bias[:, None], tf.transpose(cell.kernel), between, cell.recurrent[:, None]],
            axis=1,
        )

    @staticmethod
    def assign_weights_in(cell, net, units) -> None:
        """The inverse of `weights_in`, and how many units there are."""
        n = cell.units
        cell.bias.assign(net[:, 0])
        cell.kernel.assign(tf.transpose(net[:, 1 : -n - 1]))
        cell.recurrent.assign(net[:, -1])
        if n > 1:
            cell.cascade.assign(
                tf.gather_nd(net[:, -n - 1 : -1], np.stack([cell.targets, cell.sources], axis=1))
            )
        cell.installed.assign(tf.cast(tf.range(n) < units, net.dtype))

    def result(self, model) -> dict:
        units, first = int(model.growth.units.value), 1 + model.features
        weights = sum(first + k + 1 for k in range(units)) + model.head.outputs * (first + units)
        full = units == model.cell.units and int(model.growth.phase.value) == OUTPUT
        phase = "output, all places taken" if full else PHASES[int(model.growth.phase.value)]
        return {
            "hidden_units": units,
            "weights": weights,
            "epochs": int(model.growth.epochs.value),
            "phase": phase,
        }

    def net(self, model) -> dict:
        """Every weight of the net as it has grown, as columns to, from, weight; the self weight of a unit is from itself."""
        units, features = int(model.growth.units.value), model.features
        sources = [
            "bias",
            *(f"input_{f + 1}" for f in range(features)),
            *(f"unit_{k + 1}" for k in range(units)),
        ]
        into = self.weights_in(model.cell).numpy()
        head = np.concatenate(
            [
                model.head.bias.numpy()[None],
                model.head.shortcut_kernel.numpy(),
                model.head.kernel.numpy(),
            ]
        )
        rows = []
        for k in range(units):
            name, before = f"unit_{k + 1}", sources[: 1 + features + k]
            rows += [
                (name, source, weight) for source, weight in zip(before, into[k], strict=False)
            ]
            rows.append((name, name, into[k, -1]))
        for o in range(model.head.outputs):
            rows += [
                (f"output_{o + 1}", source, weight)
                for source, weight in zip(sources, head[:, o], strict=False)
            ]
        return {
            name: list(column)
            for name, column in zip(("to", "from", "weight"), zip(*rows, strict=True), strict=True)
        }


class Growth(keras.Layer):
    """Where a growing net stands: the phase, and what Quickprop and patience remember; saved with the model."""

    phase: keras.Variable
    units: keras.Variable
    quit: keras.Variable
    last: keras.Variable

    def __init__(self, seen: int, candidates: int, outputs: int, seed, **kwargs):
        super().__init__(name="growth", **kwargs)
        shapes = {"output_step": (seen, outputs), "output_slope": (seen, outputs), "pool": (candidates, seen + 1),
                  "pool_step": (candidates, seen + 1), "pool_slope": (candidates, seen + 1),
                  "correlation": (candidates, outputs), "last": ()}  # fmt: skip
        counts = ("phase", "units", "epoch", "quit", "pools")
        self.kept = []
        for name in (*shapes, *counts):
            kind = {"dtype": "int32"} if name in counts else {}
            weight = self.add_weight(
                shape=shapes.get(name, ()), initializer="zeros", trainable=False, name=name, **kind
            )
            setattr(self, name, weight)
            self.kept.append(weight)
        self.epochs = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="epochs"
        )
        self.start = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="start"
        )
        self.last.assign(-1.0)
        self.start.assign(int(seed.state.numpy()[0]) % 2**31)
        self.built = True
