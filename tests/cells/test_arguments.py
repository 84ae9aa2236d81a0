"""What the cell refuses, and the whole text with which it does.

The argument, the value, and what is allowed.
"""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from lstmlab import Coupled, Gate, GatedCell, variant
from lstmlab.cells import Chrono, Opposite, Staggered, UniformGate
from lstmlab.cells.initializers import PerBlock

ACTIVATION = (
    "expected 'g1997', 'h1997', the name of a Keras activation "
    "('sigmoid', 'tanh', 'linear', ...) or a callable"
)
BIAS = (
    "expected a number, a list of numbers (one per block), a Keras initializer or its name, "
    "or None (no bias weight)"
)
GATE = (
    "expected a Gate, the name of an activation, None (no gate: the constant 1), "
    "'closed' (the constant 0)"
)
KINDS = "('full', 'cells', 'gates', 'block_diagonal', 'by_element', 'none')"
PARTNER = "expected the name of another gate with a Gate of its own, here one of"
BIASED = "expected the name of another gate with a bias of its own, here one of"

CELLS = {
    # numbers
    "units is 0": ({"units": 0}, "expected a positive integer", "units=0"),
    "units is true": ({"units": True}, "expected a positive integer", "units=True"),
    "units is a float": ({"units": 2.0}, "expected a positive integer", "units=2.0"),
    "units is a word": ({"units": "4"}, "expected a positive integer", "units='4'"),
    "units is missing": ({"units": None}, "expected a positive integer", "units=None"),
    "block size is negative": ({"block_size": -1}, "expected a positive integer", "block_size=-1"),
    "blocks do not divide the units": (
        {"units": 6, "block_size": 4},
        "expected a divisor of units=6, one of [1, 2, 3, 6]",
        "block_size=4",
    ),
    "heads is 0": ({"heads": 0}, "expected a positive integer", "heads=0"),
    "heads do not divide the blocks": (
        {"units": 8, "block_size": 2, "heads": 8, "candidate_recurrent": "block_diagonal"},
        "expected a divisor of the number of blocks=4, one of [1, 2, 4]",
        "heads=8",
    ),
    "heads that nothing uses": (
        {"heads": 2},
        "expected 1 where nothing is read back by recurrent='block_diagonal'",
        "heads=2",
    ),
    "all inputs dropped": ({"dropout": 1.0}, "expected a number in [0, 1)", "dropout=1.0"),
    "a negative share dropped": (
        {"recurrent_dropout": -0.1},
        "expected a number in [0, 1)",
        "recurrent_dropout=-0.1",
    ),
    "dropout is a word": ({"dropout": "a"}, "expected a number in [0, 1)", "dropout='a'"),
    "dropout is no number": (
        {"recurrent_dropout": np.nan},
        "expected a number in [0, 1)",
        "recurrent_dropout=nan",
    ),
    "dropout is true": ({"dropout": True}, "expected a number in [0, 1)", "dropout=True"),
    "seed is a word": ({"seed": "a"}, "expected an integer >= 0 or null", "seed='a'"),
    "seed is a float": (
        {"seed": 1.5, "dropout": 0.1},
        "expected an integer >= 0 or null",
        "seed=1.5",
    ),
    "seed is true": (
        {"seed": True, "dropout": 0.1},
        "expected an integer >= 0 or null",
        "seed=True",
    ),
    # words and flags
    "unknown feedback": (
        {"feedback": "gates"},
        "expected one of ('cells', 'all', 'gates_to_gates', 'none')",
        "feedback='gates'",
    ),
    "feedback is None": (
        {"feedback": None},
        "expected one of ('cells', 'all', 'gates_to_gates', 'none')",
        "feedback=None",
    ),
    "unknown normaliser": (
        {"normaliser": "sum"},
        "expected one of (None, 'gates', 'state')",
        "normaliser='sum'",
    ),
    "normaliser is true": (
        {"normaliser": True},
        "expected one of (None, 'gates', 'state')",
        "normaliser=True",
    ),
    "unknown recurrence": (
        {"candidate_recurrent": "some"},
        f"expected one of {KINDS}",
        "candidate_recurrent='some'",
    ),
    "reset_after is a number": ({"reset_after": 1}, "expected true or false", "reset_after=1"),
    "layer_normalization is a word": (
        {"layer_normalization": "yes"},
        "expected true or false",
        "layer_normalization='yes'",
    ),
    # gates
    "input gate is a number": (
        {"input_gate": 1.0},
        f"{GATE}, 'coupled' (one minus the other) or a Coupled",
        "input_gate=1.0",
    ),
    "forget gate is true": (
        {"forget_gate": True},
        f"{GATE}, 'coupled' (one minus the other) or a Coupled",
        "forget_gate=True",
    ),
    "output gate is the class": (
        {"output_gate": Gate},
        f"{GATE} or a Coupled",
        "output_gate=<class 'lstmlab.cells.gates.Gate'>",
    ),
    "output gate has no natural partner": (
        {"output_gate": "coupled"},
        f"{GATE} or a Coupled",
        "output_gate='coupled'",
    ),
    "refine gate is closed": (
        {"refine_gate": "closed"},
        "expected a Gate, the name of an activation or None (no such gate)",
        "refine_gate='closed'",
    ),
    "refine gate is coupled": (
        {"refine_gate": Coupled("forget_gate")},
        "expected a Gate, the name of an activation or None (no such gate)",
        "refine_gate=Coupled(to='forget_gate', complement=True, shift=0.0)",
    ),
    "reset gate is closed": (
        {"reset_gate": "closed"},
        "expected a Gate, the name of an activation, None (no such gate) or a Coupled",
        "reset_gate='closed'",
    ),
    "unknown activation of a gate": (
        {"forget_gate": "sigmoidal"},
        ACTIVATION,
        "forget_gate='sigmoidal'",
    ),
    "unknown candidate activation": (
        {"candidate_activation": "tan"},
        ACTIVATION,
        "candidate_activation='tan'",
    ),
    "no candidate activation": (
        {"candidate_activation": None},
        ACTIVATION,
        "candidate_activation=None",
    ),
    "output activation is a number": ({"output_activation": 3}, ACTIVATION, "output_activation=3"),
    # couples
    "coupled to itself": (
        {"input_gate": Coupled("input_gate")},
        f"{PARTNER} ['forget_gate', 'output_gate']",
        "input_gate=Coupled(to='input_gate', complement=True, shift=0.0)",
    ),
    "coupled to an absent gate": (
        {"input_gate": "coupled", "forget_gate": None},
        f"{PARTNER} ['output_gate']",
        "input_gate=Coupled(to='forget_gate', complement=True, shift=0.0) with forget_gate=None",
    ),
    "coupled to a closed gate": (
        {"forget_gate": "coupled", "input_gate": "closed"},
        f"{PARTNER} ['output_gate']",
        "forget_gate=Coupled(to='input_gate', complement=True, shift=0.0) with input_gate='closed'",
    ),
    "coupled to each other": (
        {"input_gate": "coupled", "forget_gate": "coupled"},
        f"{PARTNER} ['output_gate']",
        "input_gate=Coupled(to='forget_gate', complement=True, shift=0.0) with "
        "forget_gate=Coupled(to='input_gate', complement=True, shift=0.0)",
    ),
    "coupled to nothing known": (
        {"output_gate": Coupled("forget", False, 2)},
        f"{PARTNER} ['input_gate', 'forget_gate']",
        "output_gate=Coupled(to='forget', complement=False, shift=2.0)",
    ),
    "coupled to the candidate": (
        {"input_gate": Coupled("candidate")},
        f"{PARTNER} ['forget_gate', 'output_gate']",
        "input_gate=Coupled(to='candidate', complement=True, shift=0.0)",
    ),
    "coupled to a gate that comes too late": (
        {"input_gate": Coupled("output_gate"), "output_gate": Gate(peephole="current")},
        f"{PARTNER} ['forget_gate']",
        "input_gate=Coupled(to='output_gate', complement=True, shift=0.0)",
    ),
    "a shift behind a refine gate": (
        {"input_gate": Coupled("forget_gate", shift=1.0), "refine_gate": "sigmoid"},
        "expected shift=0.0 where the gate that is followed is refined or normalised",
        "input_gate=Coupled(to='forget_gate', complement=True, shift=1.0)",
    ),
    "a shift behind a normaliser": (
        {"output_gate": Coupled("input_gate", shift=1.0), "normaliser": "gates"},
        "expected shift=0.0 where the gate that is followed is refined or normalised",
        "output_gate=Coupled(to='input_gate', complement=True, shift=1.0)",
    ),
    # biases
    "too few biases": (
        {"output_gate": Gate(bias=[1.0, 2, 3])},
        "expected 4 numbers, one per block",
        "output_gate.bias=[1.0, 2, 3]",
    ),
    "a bias per cell, not per block": (
        {"output_gate": Gate(bias=(1.0,) * 4), "block_size": 2},
        "expected 2 numbers, one per block",
        "output_gate.bias=[1.0, 1.0, 1.0, 1.0]",
    ),
    "too few biases in an array": (
        {"output_gate": Gate(bias=np.zeros(3))},
        "expected 4 numbers, one per block",
        "output_gate.bias=[0.0, 0.0, 0.0]",
    ),
    "too many biases of candidates, in an array": (
        {"candidate_bias": np.ones(5)},
        "expected 4 numbers, one per cell",
        "candidate_bias=[1.0, 1.0, 1.0, 1.0, 1.0]",
    ),
    "too few biases in an initializer": (
        {"input_gate": Gate(bias=PerBlock([1, 2]))},
        "expected 4 numbers, one per block",
        "input_gate.bias=[1.0, 2.0]",
    ),
    "too few biases of candidates": (
        {"candidate_bias": [1.0]},
        "expected 4 numbers, one per cell",
        "candidate_bias=[1.0]",
    ),
    "unknown initializer of a bias": (
        {"candidate_bias": "zeroes"},
        BIAS,
        "candidate_bias='zeroes'",
    ),
    "opposite of itself": (
        {"input_gate": Gate(bias=Opposite("input_gate"))},
        f"{BIASED} ['forget_gate', 'output_gate']",
        "input_gate.bias=Opposite('input_gate')",
    ),
    "opposite of an absent gate": (
        {"input_gate": Gate(bias=Opposite("forget_gate")), "forget_gate": None},
        f"{BIASED} ['output_gate']",
        "input_gate.bias=Opposite('forget_gate')",
    ),
    "opposite of a gate without bias": (
        {"input_gate": Gate(bias=Opposite("forget_gate")), "forget_gate": Gate(bias=None)},
        f"{BIASED} ['output_gate']",
        "input_gate.bias=Opposite('forget_gate')",
    ),
    "opposite of an opposite": (
        {
            "input_gate": Gate(bias=Opposite("forget_gate")),
            "forget_gate": Gate(bias=Opposite("output_gate")),
        },
        f"{BIASED} ['output_gate']",
        "input_gate.bias=Opposite('forget_gate')",
    ),
    "opposite of a coupled gate": (
        {"output_gate": Gate(bias=Opposite("input_gate")), "input_gate": "coupled"},
        f"{BIASED} ['forget_gate']",
        "output_gate.bias=Opposite('input_gate')",
    ),
    "opposite of the candidate": (
        {"input_gate": Gate(bias=Opposite("candidate"))},
        f"{BIASED} ['forget_gate', 'output_gate']",
        "input_gate.bias=Opposite('candidate')",
    ),
    "candidates opposite": (
        {"candidate_bias": Opposite("forget_gate")},
        "expected Opposite as the bias of a gate",
        "candidate_bias=Opposite('forget_gate')",
    ),
    # one switch with another
    "peephole without carousel": (
        {"forget_gate": "closed", "input_gate": Gate(peephole="previous")},
        "expected None where the forget gate is 'closed': a peephole needs a carousel",
        "input_gate.peephole='previous'",
    ),
    "peephole on a state that is only this step's": (
        {"forget_gate": "closed", "output_gate": Gate(peephole="current")},
        "expected None where the forget gate is 'closed': a peephole needs a carousel",
        "output_gate.peephole='current'",
    ),
    "forget gate looks ahead": (
        {"forget_gate": Gate(peephole="current")},
        "expected None or 'previous': only the output gate comes after the new state",
        "forget_gate.peephole='current'",
    ),
    "reset gate with gates fed back": (
        {"reset_gate": "sigmoid", "feedback": "all"},
        "expected 'cells' with a reset gate",
        "feedback='all'",
    ),
    "reset gate with nothing fed back": (
        {"reset_gate": "sigmoid", "feedback": "none"},
        "expected 'cells' with a reset gate",
        "feedback='none'",
    ),
    "reset_after without reset gate": (
        {"reset_after": True},
        "expected False without a reset gate",
        "reset_after=True",
    ),
    "reset gate before what is not read back": (
        {"reset_gate": "sigmoid", "candidate_recurrent": "none"},
        "expected candidates that read back, for the reset gate",
        "candidate_recurrent='none'",
    ),
    "reset gate after what is not read back": (
        {"reset_gate": "sigmoid", "reset_after": True, "candidate_recurrent": "none"},
        "expected candidates that read back, for the reset gate",
        "candidate_recurrent='none'",
    ),
    "a kind of recurrence without any": (
        {"forget_gate": Gate(recurrent="by_element"), "feedback": "none"},
        "expected 'none', or 'full' as by default, because feedback='none' reads nothing back",
        "forget_gate.recurrent='by_element'",
    ),
    "gates alone where none is fed back": (
        {"candidate_recurrent": "gates"},
        "expected another kind without feedback='all', where no gate is fed back to it",
        "candidate_recurrent='gates', feedback='cells'",
    ),
    "gates alone where gates read gates anyway": (
        {"forget_gate": Gate(recurrent="gates"), "feedback": "gates_to_gates"},
        "expected another kind without feedback='all', where no gate is fed back to it",
        "forget_gate.recurrent='gates', feedback='gates_to_gates'",
    ),
    "heads without recurrence": (
        {"candidate_recurrent": "block_diagonal", "heads": 2, "feedback": "none"},
        "expected 'none', or 'full' as by default, because feedback='none' reads nothing back",
        "candidate_recurrent='block_diagonal'",
    ),
    "refine gate without forget gate": (
        {"refine_gate": "sigmoid", "forget_gate": None},
        "expected a Gate that the refine gate can move",
        "forget_gate=None",
    ),
    "refine gate on a coupled forget gate": (
        {"refine_gate": "sigmoid", "forget_gate": "coupled"},
        "expected a Gate that the refine gate can move",
        "forget_gate=Coupled(to='input_gate', complement=True, shift=0.0)",
    ),
    "refine gate and normalised gates": (
        {"refine_gate": "sigmoid", "normaliser": "gates"},
        "expected None with a refine gate",
        "normaliser='gates'",
    ),
    "refine gate and normalised state": (
        {"refine_gate": "sigmoid", "normaliser": "state"},
        "expected None with a refine gate",
        "normaliser='state'",
    ),
    "normaliser without input gate": (
        {"normaliser": "gates", "input_gate": None},
        "expected a Gate with normaliser='gates'",
        "input_gate=None",
    ),
    "normaliser with coupled gates": (
        {"normaliser": "state", "forget_gate": "coupled"},
        "expected a Gate with normaliser='state'",
        "forget_gate=Coupled(to='input_gate', complement=True, shift=0.0)",
    ),
    "stabiliser without logarithm": (
        {"normaliser": "state", "input_gate": "tanh"},
        "expected an activation in ('sigmoid', 'exponential') with normaliser='state'",
        "input_gate=Gate(activation='tanh', bias=0.0, peephole=None, recurrent='full')",
    ),
    # Keras objects
    "unknown initializer": (
        {"kernel_initializer": "uniformly"},
        "expected a Keras initializer or its name",
        "kernel_initializer='uniformly'",
    ),
    "initializer is a number": (
        {"recurrent_initializer": 0.1},
        "expected a Keras initializer or its name",
        "recurrent_initializer=0.1",
    ),
    "no initializer": (
        {"kernel_initializer": None},
        "expected a Keras initializer or its name",
        "kernel_initializer=None",
    ),
    "unknown initializer of peepholes": (
        {"peephole_initializer": "bogus", "input_gate": Gate(peephole="previous")},
        "expected a Keras initializer or its name",
        "peephole_initializer='bogus'",
    ),
    "unknown regularizer": (
        {"peephole_regularizer": "l9"},
        "expected a Keras regularizer, its name or None",
        "peephole_regularizer='l9'",
    ),
    "regularizer is a number": (
        {"bias_regularizer": 0.1},
        "expected a Keras regularizer, its name or None",
        "bias_regularizer=0.1",
    ),
    "unknown constraint": (
        {"recurrent_constraint": "maximal"},
        "expected a Keras constraint, its name or None",
        "recurrent_constraint='maximal'",
    ),
    "constraint is a number": (
        {"kernel_constraint": 1.0},
        "expected a Keras constraint, its name or None",
        "kernel_constraint=1.0",
    ),
}


@pytest.mark.parametrize("what", CELLS)
def test_what_a_cell_refuses_at_construction(what):
    arguments, allowed, received = CELLS[what]
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        GatedCell(**{"units": 4, **arguments})
    assert str(e.value) == f"GatedCell: {allowed}. Received: {received}"
    if arguments.get("units", 4) is None:
        return  # the variant has a number of its own
    with pytest.raises(ValueError) as e:  # noqa: PT011
        variant("vanilla", **{"units": 4, **arguments})
    assert str(e.value) == f"GatedCell: {allowed}. Received: {received}"


OTHER_KINDS = [
    ("kernel_initializer", keras.regularizers.L2(), "initializer or its name"),
    ("kernel_regularizer", keras.initializers.Zeros(), "regularizer, its name or None"),
    ("bias_constraint", keras.regularizers.L2(), "constraint, its name or None"),
]


@pytest.mark.parametrize(("argument", "value", "allowed"), OTHER_KINDS)
def test_a_keras_object_of_another_kind_is_refused(argument, value, allowed):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        GatedCell(4, **{argument: value})
    assert str(e.value) == f"GatedCell: expected a Keras {allowed}. Received: {argument}={value!r}"


PARTS = [
    (lambda: Gate("sigmoids"), f"Gate: {ACTIVATION}. Received: activation='sigmoids'"),
    (lambda: Gate(None), f"Gate: {ACTIVATION}. Received: activation=None"),
    (lambda: Gate(bias="zeroes"), f"Gate: {BIAS}. Received: bias='zeroes'"),
    (lambda: Gate(bias=True), f"Gate: {BIAS}. Received: bias=True"),
    (lambda: Gate(bias=[]), f"Gate: {BIAS}. Received: bias=[]"),
    (lambda: Gate(bias=[1.0, "2"]), f"Gate: {BIAS}. Received: bias=[1.0, '2']"),
    (lambda: Gate(bias=[True, False]), f"Gate: {BIAS}. Received: bias=[True, False]"),
    (lambda: Gate(bias=float("nan")), f"Gate: {BIAS}. Received: bias=nan"),
    (lambda: Gate(bias=[1.0, float("inf")]), f"Gate: {BIAS}. Received: bias=[1.0, inf]"),
    (lambda: Gate(bias=np.zeros((2, 2))), f"Gate: {BIAS}. Received: bias=[[0.0, 0.0], [0.0, 0.0]]"),
    (
        lambda: Gate(peephole="next"),
        "Gate: expected one of (None, 'previous', 'current'). Received: peephole='next'",
    ),
    (
        lambda: Gate(peephole=True),
        "Gate: expected one of (None, 'previous', 'current'). Received: peephole=True",
    ),
    (
        lambda: Gate(recurrent="diagonal"),
        f"Gate: expected one of {KINDS}. Received: recurrent='diagonal'",
    ),
    (lambda: Gate(recurrent=None), f"Gate: expected one of {KINDS}. Received: recurrent=None"),
    (
        lambda: Coupled(3),
        "Coupled: expected the name of a gate, such as 'forget_gate'. Received: to=3",
    ),
    (lambda: Coupled("forget_gate", 1), "Coupled: expected true or false. Received: complement=1"),
    (lambda: Coupled("forget_gate", shift="a"), "Coupled: expected a number. Received: shift='a'"),
    (
        lambda: Coupled("forget_gate", shift=True),
        "Coupled: expected a number. Received: shift=True",
    ),
    (
        lambda: Coupled("forget_gate", shift=float("nan")),
        "Coupled: expected a number. Received: shift=nan",
    ),
    (lambda: Staggered("a"), "Staggered: expected a number. Received: first='a'"),
    (lambda: Staggered(step=True), "Staggered: expected a number. Received: step=True"),
    (
        lambda: Staggered(step=float("inf")),
        "Staggered: expected a number. Received: step=inf",
    ),
    (lambda: Staggered(spread=-0.1), "Staggered: expected a number >= 0. Received: spread=-0.1"),
    (lambda: PerBlock(3), "PerBlock: expected a list of numbers. Received: values=3"),
    (lambda: PerBlock("12"), "PerBlock: expected a list of numbers. Received: values='12'"),
    (lambda: PerBlock([1, "2"]), "PerBlock: expected a number. Received: values='2'"),
    (
        lambda: PerBlock([1, 2])((3,)),
        "PerBlock: expected 3 numbers, one per block. Received: values=[1.0, 2.0]",
    ),
    (lambda: Chrono(1.5), "Chrono: expected a number >= 2, in steps. Received: lag=1.5"),
    (lambda: Chrono("a"), "Chrono: expected a number >= 2, in steps. Received: lag='a'"),
    (lambda: Chrono(float("inf")), "Chrono: expected a number >= 2, in steps. Received: lag=inf"),
    (
        lambda: Opposite(3),
        "Opposite: expected the name of a gate, such as 'forget_gate'. Received: of=3",
    ),
    (
        lambda: Opposite("forget_gate")((4,)),
        "Opposite: expected to be the bias of a gate of a GatedCell. Received: of='forget_gate'",
    ),
    (
        lambda: GatedCell(4, kernel_initializer=Opposite("forget_gate")).build((None, 3)),
        "Opposite: expected to be the bias of a gate of a GatedCell. Received: of='forget_gate'",
    ),
]


@pytest.mark.parametrize(("make", "message"), PARTS, ids=[message for _, message in PARTS])
def test_what_the_parts_of_a_cell_refuse(make, message):
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        make()
    assert str(e.value) == message


@pytest.mark.parametrize("initializer", [Chrono, UniformGate, Staggered])
@pytest.mark.parametrize("seed", ["a", 1.5])
def test_a_seed_that_is_none(initializer, seed):
    first = [] if initializer is UniformGate else [5]
    with pytest.raises(
        ValueError, match=rf"^`seed` argument should be .* or an integer\. Received: seed={seed}$"
    ):
        initializer(*first, seed=seed)


@pytest.mark.parametrize("sizes", [[4], [3, 4], [4, 4, 4], [4, 8]])
def test_states_of_the_wrong_number_or_size(sizes):
    cell = GatedCell(4)
    cell.build((None, 3))
    with pytest.raises(ValueError) as e:  # noqa: PT011 - the whole text is compared
        cell.step(tf.zeros((2, 3)), [tf.zeros((2, size)) for size in sizes])
    shapes = [(2, size) for size in sizes]
    expected = "states=[hidden [B, 4], cell_state [B, 4]]"
    assert str(e.value) == f"GatedCell: expected {expected}. Received: shapes {shapes}"


def test_states_of_the_wrong_rank():
    cell = GatedCell(4, forget_gate="closed", output_gate=None, output_activation="linear")
    cell.build((None, 3))
    with pytest.raises(
        ValueError,
        match=r"^GatedCell: expected states=\[hidden \[B, 4\]\]\. Received: shapes \[\(4,\)\]$",
    ):
        cell.step(tf.zeros((2, 3)), [tf.zeros((4,))])


def test_numbers_of_numpy_are_numbers():
    gate = Gate(bias=np.float32(1.5))
    cell = GatedCell(
        np.int64(4),
        gate,
        Coupled("input_gate", shift=np.float32(0.5)),
        block_size=np.int32(2),
        dropout=np.float32(0.25),
    )
    plain = GatedCell(
        4,
        Gate(bias=1.5),
        Coupled("input_gate", shift=0.5),
        block_size=2,
        dropout=0.25,
        name=cell.name,
    )
    config = cell.get_config()
    assert config == plain.get_config()
    assert {type(config[name]) for name in ("units", "block_size")} == {int}
    assert type(config["dropout"]) is float
    assert json.loads(json.dumps(config)) == json.loads(json.dumps(plain.get_config()))
    cell.build((None, 3))
    np.testing.assert_array_equal(cell.bias[:2], [1.5, 1.5])


def test_what_is_unknown_to_a_variant():
    with pytest.raises(
        ValueError,
        match=r"^GatedCell: expected arguments among \[.*'forget_gate', .*\]. "
        r"Received: forgetgate=None$",
    ):
        variant("vanilla", forgetgate=None)
