"""What the command line of lstmlab-bench offers. Loads nothing heavy, so that --help is quick."""

from lstmlab import config

SHAPES = {
    "tiny": (1, 1000, 2, 4),
    "narrow": (32, 500, 2, 64),
    "pixels": (64, 784, 1, 128),
    "wide": (32, 128, 512, 512),
    "long": (1, 8000, 2, 4),
}
WHAT = {
    "layer": "GatedRNN by engine beside LSTMs of Keras, JAX and PyTorch",
    "keras": "vanilla against keras.layers.LSTM",
    "variants": "every variant against vanilla",
    "traces": "return_traces against none",
    "learners": "time and memory of learners against length and width",
    "presets": "a run with each preset of diagnostics",
    "measures": "time and memory of each diagnostic",
    "sampling": "steps per second of every task",
    "trials": "many trials of a small network beside KerasFit, on one core and on all",
}

# of the part `learners`
# name: class, module below lstmlab.learners, settings, and the exponent of its multiplications per
# step against the cells
LEARNERS: dict[str, tuple[str, str, dict, int]] = {
    "truncated1997_forward": ("Truncated1997Forward", "truncated1997_forward", {}, 2),
    "uoro": ("UORO", "uoro", {"seed": 0}, 2),
    "snap1": ("SnAp", "snap", {"order": 1}, 3),
    "rtrl": ("RTRL", "rtrl", {"max_sensitivities": 10**10}, 4),
    "bptt": ("BPTT", "bptt", {}, 2),
}
LEARNER_CELLS = ("vanilla", "lstm1997")
LENGTHS, WIDTHS = (100, 1_000, 10_000, 100_000), (4, 8, 16, 32, 64)

# of the parts `presets` and `measures`
PRESETS = ("off", "light", "full")
MEASURES = tuple(config.settings("diagnostic", "full")["defaults"])
MEASURED_CELLS = ("vanilla", "lstm1997", "elman")
BATCH, STEPS = 32, 1000  # of the probe
BUDGET = 72_000  # sequences of a run of the default task and cell: about what it needs

# of the part `trials`
# name: what it is, and what its config changes
TRIAL_SIZES: dict[str, tuple[str, tuple[str, ...]]] = {
    "adding_1000": (
        "2 inputs, 4 cells with forget gates, T=1000",
        ("task=adding", "task.T=1000", "cell=vanilla", "cell.units=4"),
    ),
    "temporal_order": (
        "8 inputs, 8 cells with forget gates, T=100",
        ("task=temporal_order", "cell=vanilla", "cell.units=8"),
    ),
    "two_sequence": (
        "1 input, 3 cells of 1997, T=100: experiment 3a",
        ("experiment=hs97/3a_two_sequence",),
    ),
    "default": ("2 inputs, 2 blocks of 2 cells of 1997, T=100: experiment 4", ()),
    "noise_free_lag": (
        "101 symbols, 1 cell of 1997, p=100: experiment 2a, without growing",
        ("experiment=hs97/2a_noise_free_lag", "learner=truncated1997"),
    ),
}
TRIAL_LEARNERS = ("truncated1997", "truncated1997_forward", "bptt", "elman", "rtrl")
TRIALS, TRIAL_ROUNDS = 128, 5
SPANS = (100, 1_000, 10_000, 100_000, 1_000_000)

# of the part `layer`
# name: backend of Keras, or torch; LSTM, lax.scan or a variant; settings; compiled by XLA
_NO_FEEDBACK = {"feedback": "none"}
LAYERS: dict[str, tuple[str, str, dict, bool]] = {
    "keras LSTM": ("tensorflow", "LSTM", {}, False),
    "keras LSTM, compiled": ("tensorflow", "LSTM", {}, True),
    "keras LSTM on JAX": ("jax", "LSTM", {}, True),
    "JAX lax.scan": ("jax", "lax.scan", {}, True),
    "torch LSTM": ("torch", "LSTM", {}, False),
    "vanilla native": ("tensorflow", "vanilla", {"engine": "native"}, False),
    "vanilla xla": ("tensorflow", "vanilla", {"engine": "xla"}, False),
    "vanilla xla, compiled": ("tensorflow", "vanilla", {"engine": "xla"}, True),
    "vanilla native on JAX": ("jax", "vanilla", {"engine": "native"}, True),
    "vanilla on JAX": ("jax", "vanilla", {"engine": "xla"}, True),
}
for _name, _variant, _more in (
    ("mingru", "mingru", {}),
    ("minlstm", "minlstm", {}),
    ("no feedback", "vanilla", _NO_FEEDBACK),
):
    for _engine in ("native", "xla", "scan"):
        for _compiled in (False, True) if _engine != "native" else (False,):
            LAYERS[f"{_name} {_engine}{', compiled' * _compiled}"] = (
                "tensorflow", _variant, {"engine": _engine, **_more}, _compiled
            )  # fmt: skip
for _name in ("peephole", "gru", "lstm1997", "slstm"):
    LAYERS[f"{_name} native"] = ("tensorflow", _name, {"engine": "native"}, False)
LAYERS_DEFAULT = tuple(LAYERS)
for _name in ("peephole", "lstm1997", "slstm"):
    LAYERS[f"{_name} on JAX"] = ("jax", _name, {"engine": "xla"}, True)
    LAYERS[f"{_name} xla, compiled"] = ("tensorflow", _name, {"engine": "xla"}, True)
LAYER_SHAPES = {
    **{name: SHAPES[name] for name in ("tiny", "narrow", "pixels", "wide")},
    "batch": (128, 64, 64, 256),
    "longer": (8, 4096, 2, 32),
    "longest": (1, 65536, 2, 16),
    "deep": (128, 512, 256, 512),
    "many": (1024, 1000, 2, 64),
}
LAYER_DEFAULT = ("tiny", "narrow", "pixels", "wide", "batch")
LAYER_LENGTHS = (256, 1_024, 4_096, 16_384)
AT_LENGTH = (8, 2, 32)  # batch, features, units
LAYER_ROUNDS = 5
