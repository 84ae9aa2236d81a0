"""Every task, as its file sets it and as VARIANTS do, keeps the contract of Task."""

import tracemalloc
from functools import lru_cache
from itertools import combinations, islice

import numpy as np
import pytest

from lstmlab import config
from lstmlab.conformance import options
from lstmlab.criterion import criterion
from lstmlab.task import LOSSES, Drawn, Task, generator, loss, valid_steps

NAMES = options.sound("task")
FACTS = {name: options.facts("task", name) for name in NAMES}  # of the user's own
# Further settings of a task, as on the command line, that change what is shown, asked or counted.
VARIANTS = (
    "copy_memory delimiter=throughout",
    "counting_language language=anbncn",
    "csv kind=classification target=shape",
    "csv warmup=3",
    "multiplication criterion.wrong=12",
    "parity every_step=true",
    "temporal_order symbols=3",
    "timing kind=generate",
    "timing kind=periodic",
    "timing kind=single",
    "two_sequence form=3b",
    "two_sequence form=3c",
)
OWN_VARIANTS = [f"{name} {more}" for name in NAMES for more in FACTS[name].get("variants", ())]
CASES = [case for case in (*NAMES, *VARIANTS, *OWN_VARIANTS) if case.split()[0] in NAMES]
NEEDS = {"csv": "csv_file"}  # a fixture of settings, for tasks that cannot do without
N = 40
TRIED = 3  # sequences of a set that are looked at
LONG = {  # settings that make a sequence a million steps long, or a long stream
    "adding": ["T=1000000"],
    "multiplication": ["T=1000000"],
    "temporal_order": ["T=1000000"],
    "two_sequence": ["T=1000000"],
    "very_long_lag": ["q=1000000"],
    "adding_modern": ["T=1000000"],
    "copy_memory": ["T=1000000"],
    "selective_copy": ["T=1000000"],
    "flip_flop": ["T=1000000"],
    "delayed_xor": ["T=1000000"],
    "latch": ["shortest=1000000", "longest=1000000"],
    "parity": ["shortest=1000000", "longest=1000000"],
    "continual_embedded_reber": [],
    "continual_temporal_order": [],
    "chunk_stream": [],
    "timing": ["steps=1000000"],
}
NOT_LONG = {"timing kind=single"}  # variants of these tasks whose sequences are short all the same
ONE = {"timing kind=periodic"}  # tasks with one sequence alone: every block of training is the same
FROM_ONE_ON = (
    ("training", "test"),
    "the test strings are all n from 1 on, those of training among them",
)
FEW = {  # tasks whose sets hold sequences of training by intent, the sets, and why
    "noise_free_lag": (
        ("test",),
        "there are two sequences, which are training set and test set at once",
    ),
    "counting_language": FROM_ONE_ON,
    "counting_language language=anbncn": FROM_ONE_ON,
    "embedded_reber": (
        ("training",),
        "training draws from 256 strings, which are tried as a set; no test string is one",
    ),
    "reber": (("training",), "as embedded_reber"),
    "timing kind=single": (("test",), "there is one sequence for each interval"),
    "timing kind=periodic": (("test",), "there is one sequence"),
}
PROBED = {  # tasks whose probe is drawn from one of the sets
    "csv": "validation",
    "csv kind=classification target=shape": "validation",
    "csv warmup=3": "validation",
    "pixels": "validation",
    "embedded_reber": "test",
    "reber": "test",
}
KINDS = {
    "chunk_stream": 2**20
}  # different sequences, where so few that independent draws now and then coincide
CARD = ("Shown", "Asked", "Lag", "Right", "Chance", "Solved")


def build(case: str, *settings: str, seed: int = 0) -> Task:
    """The task of a case: a name, and perhaps settings, which go over `settings`."""
    name, *changed = case.split()
    return config.changed("task", name, [*settings, *changed], seed)


def of(case: str, fact: str, default=None):
    """What the user's conformance.yaml says of the task of a case."""
    return FACTS[case.split()[0]].get(fact, default)


def needed(case: str, request) -> list[str]:
    """The settings that the task of a case cannot do without."""
    name = case.split()[0]
    return request.getfixturevalue(NEEDS[name]) if name in NEEDS else of(case, "settings", [])


def long(case: str) -> list[str] | None:
    """Settings that make a sequence long; None where there are none."""
    return of(case, "long", LONG.get(case.split()[0]))


@pytest.fixture(scope="session")
def csv_file(tmp_path_factory):
    """A user's table: 60 sines of 5 to 12 rows; the column `shape` says how each begins."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("csv") / "table.csv"
    lines = ["group,time,x,y,shape"]
    for group in range(60):
        phase = rng.uniform(0, 6)
        shape = "up" if np.cos(phase) > 0 else "down"
        for t in range(rng.integers(5, 13)):
            lines.append(
                f"{group},{t},{np.sin(0.5 * t + phase):.6f},{np.cos(0.5 * t + phase):.6f},{shape}"
            )
    path.write_text("\n".join(lines) + "\n")
    return [f"file='{path}'", "group=group", "time=time", "target=y"]


@pytest.fixture(params=CASES, scope="module")
def case(request):
    return request.param


@pytest.fixture(scope="module")
def task(case, request):
    return build(case, *needed(case, request))


def sample(task, block=0, n=N):
    return task.sample(generator(0, "train", block), n)


def few(task, name):
    """The first sequences of a set."""
    x, y, w = next(iter(task.sets(0)[name]))
    return x[:TRIED], y[:TRIED], w[:TRIED]


def every_batch(task):
    return {
        "training": sample(task),
        "probe": task.probe(0, N),
        **{f"set {name}": few(task, name) for name in task.sets(0)},
    }.items()


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_shapes_and_types(task):
    for name, (x, y, w) in every_batch(task):
        steps = w.shape[1] if name.startswith("set ") else task.steps
        assert (x.shape, y.shape) == (
            (len(x), steps, task.features),
            (len(x), steps, task.outputs),
        ), name
        assert w.shape == (len(x), steps), name
        assert {x.dtype, y.dtype, w.dtype} == {np.dtype("float32")}, name
        assert all(np.isfinite(part).all() for part in (x, y, w)), name


def test_w_marks_a_step_of_every_sequence(task):
    for name, (x, y, w) in every_batch(task):
        marked = (w > 0).sum(axis=1)
        assert (w >= 0).all(), name
        assert marked.min() >= 1, name
        assert marked.max() <= task.readouts or name.startswith("set "), name
        assert task.endless or not x[~valid_steps(w)].any(), name
        assert not y[w == 0].any(), name


def test_same_numbers_same_sequences(case, task):
    assert same(sample(task), sample(task))
    assert same(sample(task), sample(task, block=1)) == (case in ONE or of(case, "single", False))
    for (name, first), (_, second) in zip(every_batch(task), every_batch(task), strict=True):
        assert same(first, second), name


def test_two_tasks_of_one_config_are_equal(request):
    for case in CASES:
        settings = needed(case, request)
        a, b = build(case, *settings), build(case, *settings)
        assert same(sample(a), sample(b)), case
        assert same(few(a, "test"), few(b, "test")), case


def distinct(task, x, w) -> set[bytes]:
    """What each sequence shows, without padding; of endless streams the steps of training."""
    ends = np.full(len(w), task.steps) if task.endless else valid_steps(w).sum(axis=1)
    return {row[:end].tobytes() for row, end in zip(x, ends, strict=True)}


def test_streams_are_disjoint(case, task):
    """The sets, the probe and training share no sequence, except what FEW and PROBED say.

    Compared are the first block of each set, as many sequences of the probe and of training as are
    drawn together, and training in blocks as large as each of the others: so the same random
    numbers would give the same sequences. If KINDS says how few sequences there are, up to five
    times as many may coincide as do by chance on average.
    """
    drawn = {name: next(iter(blocks)) for name, blocks in task.sets(0).items()}
    drawn["probe"] = task.probe(0, task.block)
    sizes = {task.block, N, *(len(x) for x, _, _ in drawn.values())}
    trained = set().union(
        *(distinct(task, x, w) for x, _, w in (sample(task, n=n) for n in sorted(sizes)))
    )
    drawn = {name: distinct(task, x, w) for name, (x, _, w) in drawn.items()}
    again, why = FEW.get(case, (of(case, "shares", ()), "conformance.yaml says so"))
    for name in again:
        assert trained <= drawn[name], (name, why)
    if probed := PROBED.get(case, of(case, "probe")):
        assert drawn.pop("probe") <= drawn[probed]
    elif again:
        assert drawn.pop("probe") <= trained, why
    groups = {
        "training": trained,
        **{name: sequences for name, sequences in drawn.items() if name not in again},
    }
    kinds = KINDS.get(case, of(case, "distinct", np.inf))
    for first, second in combinations(groups, 2):
        by_chance = len(groups[first]) * len(groups[second]) / kinds
        assert len(groups[first] & groups[second]) <= 5 * by_chance, (first, second)


def test_cutting_changes_no_number(task):
    whole, steps = sample(task, n=7), task.steps
    third = max(1, steps // 3)
    cuts = [[steps], [third, steps - third], [1, steps - 1], [steps - 1, 1], [1] * steps]
    for lengths in cuts:
        if min(lengths) < 1:
            continue
        parts = [
            np.concatenate(part, axis=1)
            for part in zip(*task.pieces(generator(0, "train"), 7, lengths), strict=True)
        ]
        assert same(parts, whole), lengths


def test_chunks(task):
    chunk = max(1, task.steps // 2)
    pieces = list(islice(task.chunks(0, 2, chunk), 4))
    for x, y, w, begins in pieces:
        assert (x.shape, y.shape, w.shape) == (
            (2, chunk, task.features),
            (2, chunk, task.outputs),
            (2, chunk),
        )
        assert begins.dtype == bool
    per_sequence = -(-task.steps // chunk)
    expected = [k == 0 if task.endless else k % per_sequence == 0 for k in range(4)]
    assert [bool(begins.all()) for *_, begins in pieces] == expected


def test_sets(task):
    sets = task.sets(0)
    assert "test" in sets
    assert (
        sum(len(x) for x, _, _ in sets["test"]) == task.test_size
        if task.steps * task.test_size < 1e6
        else True
    )
    for name in sets:
        assert same(few(task, name), few(task, name)), f"{name}: a set can be gone through again"
    wanted = criterion(**task.criterion)
    assert set(getattr(wanted, "sets", None) or []) <= set(sets)
    if getattr(wanted, "redraw", False):
        assert any(
            not same(next(iter(task.sets(0, draw=1)[name])), next(iter(sets[name])))
            for name in sets
        )


def test_a_perfect_predictor_is_right_and_the_mean_is_not(task):
    for name, (_, y, w) in every_batch(task):
        right = task.correct(y, y, w)
        assert right.dtype == bool, name
        assert right.shape == (len(y),), name
        assert right.all(), name
        assert not task.correct(y, -y - 100, w).any(), name
    _, y, w = sample(task)
    mean = np.broadcast_to(best_constant(y, w), y.shape).astype("float32")
    assert not task.correct(y, mean, w).all()
    perfect = few(task, "test")[1:]
    assert loss(task.loss, perfect[0], perfect[0], perfect[1]) < 1e-6


def noise(task) -> float:
    """Variance of the noise on the targets of training; those of the sets have none."""
    return float(getattr(task, "target_noise", 0.0)) ** 2


def best_constant(y, w):
    """The constant output with the least squared error or crossentropy: the mean target."""
    return np.sum(w[..., None] * y, axis=(0, 1), dtype="float64") / np.sum(w, dtype="float64")


@lru_cache(maxsize=2)  # two tests one after another ask for the same
def by_monte_carlo(task, clean):
    """x, y and w at the steps with an error of a few thousand sequences, and whose steps they are.

    clean: of the sets, whose targets are free of noise.
    """
    n = int(np.clip(3e6 / (task.steps * (task.features + task.outputs)), 50, 3000))
    if clean:
        blocks = [block for blocks in task.sets(0).values() for block in blocks]
    else:
        blocks = [sample(task, block, n) for block in range(4)]
    x, y, w = (np.concatenate(part) for part in zip(*blocks, strict=True))
    at = w > 0
    groups = np.repeat(np.arange(len(w)), at.sum(axis=1))
    return x[at], y[at], w[at], groups


def mean_and_error(losses, w, groups):
    """The mean loss, and its standard error over sequences."""
    sums = np.bincount(groups, weights=w * losses)
    weights = np.bincount(groups, weights=w)
    mean = sums.sum() / weights.sum()
    return mean, np.sqrt(np.sum((sums - mean * weights) ** 2)) / weights.sum()


def each_loss(task, y, prediction):
    if task.loss == "squared":
        return np.mean((y - prediction) ** 2, axis=-1)
    return -np.sum(y * np.log(np.maximum(prediction, 1e-30)), axis=-1)


def kinds_of(rows: np.ndarray) -> np.ndarray:
    """A number for each row of integers [m, F], the same for equal rows.

    np.unique of one key per row is far faster than np.unique of the rows.
    """
    rng = np.random.default_rng(0)
    keys = rows @ rng.integers(1, 2**53, size=rows.shape[1])
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
    assert np.array_equal(rows[first][kind], rows), "two different rows have the same key"
    return kind


def test_chance_by_monte_carlo(task):
    if task.chance is None:
        return
    assert task.chance > 0
    for clean in (False, True)[: 1 + (noise(task) > 0)]:
        _, y, w, groups = by_monte_carlo(task, clean)
        y = y.astype("float64")
        constant = np.sum(w[:, None] * y, axis=0) / w.sum()
        measured, error = mean_and_error(each_loss(task, y, constant), w, groups)
        expected = task.chance + (0.0 if clean else noise(task))
        assert abs(measured - expected) < 5 * error + 2e-3 * expected, (
            clean,
            measured,
            error,
            expected,
        )


def by_input(task, kind, y, w, groups):
    """The mean loss of the mean target of each kind of input, and its standard error."""
    weights = np.bincount(kind, weights=w)
    means = np.stack([np.bincount(kind, weights=w * column) / weights for column in y.T], axis=-1)
    return mean_and_error(each_loss(task, y, means[kind]), w, groups)


def test_memoryless_by_monte_carlo(case, task):
    """The best answer to an input that occurs often is its mean target: no better, no far worse."""
    if task.memoryless is None:
        return
    x, y, w, groups = by_monte_carlo(task, noise(task) > 0)
    y = y.astype("float64")
    kind = kinds_of(np.round(x * 4).astype(int))  # continuous inputs by quarters
    if kind.max() + 1 > len(x) / 20:
        kind = np.zeros(len(x), int)  # the input at these steps is noise
    kinds = [kind]
    if not options.is_built_in("task", case.split()[0]):  # the answer may be the input itself
        finer = (kinds_of(np.round(x * parts).astype(int)) for parts in (16, 64))
        kinds += [kind for kind in finer if kind.max() + 1 < len(x) / 200]
    measured, error = min(by_input(task, kind, y, w, groups) for kind in kinds)
    assert 0 <= task.memoryless <= task.chance + 1e-12
    assert abs(measured - task.memoryless) < 5 * error + 0.01 * task.chance, (
        measured,
        error,
        task.memoryless,
    )


def shown(x):
    """bool [n, T]: the steps up to the last at which any line is not 0."""
    return valid_steps(x.any(axis=-1).astype("float32"))


def last_shown(task, x):
    here = shown(x)
    return here & ~np.pad(here[:, 1:], ((0, 0), (0, 1)))


def last_shown_with(line, value=1.0):
    """The last step shown, if the line says so there."""
    return lambda task, x: last_shown(task, x) & (x[..., task.inputs.index(line)] == value)


def wherever(line):
    return lambda task, x: x[..., task.inputs.index(line)] == 1


def every_step_shown(task, x):
    return shown(x)


def every_step(task, x):
    return np.ones(x.shape[:2], bool)


def very_last(task, x):
    return every_step(task, x) & (np.arange(x.shape[1]) == task.steps - 1)


def after_the_tokens(task, x):
    """The last `tokens` steps, at which the mark asks."""
    return wherever("?")(task, x) & (np.arange(x.shape[1]) >= x.shape[1] - task.tokens)


def of_spikes(task, x):
    return x[..., 0] == 1 if task.kind in ("measure", "single") else every_step(task, x)


def of_table(task, x):
    if task.kind == "classification":
        return last_shown(task, x)
    return shown(x) & (np.arange(x.shape[1]) >= task.warmup - 1)


def of_bits(task, x):
    return shown(x) if task.every_step else last_shown(task, x)


# (task, x) -> bool [n, T]: the steps that a task's card says are asked for, by what it shows.
READOUT = {
    "adding": last_shown_with("marker", -1.0),
    "adding_modern": very_last,
    "associative_recall": very_last,
    "chunk_stream": every_step,
    "continual_embedded_reber": every_step,
    "continual_temporal_order": wherever("B"),
    "copy_memory": every_step,
    "counting_language": every_step_shown,
    "csv": of_table,
    "delayed_xor": last_shown_with("marker", -1.0),
    "embedded_reber": every_step_shown,
    "flip_flop": every_step,
    "latch": last_shown,
    "multiplication": last_shown_with("marker", -1.0),
    "no_local_regularities": every_step,
    "noise_free_lag": every_step,
    "parity": of_bits,
    "pixels": very_last,
    "reber": every_step_shown,
    "selective_copy": after_the_tokens,
    "temporal_order": last_shown_with("B"),
    "timing": of_spikes,
    "two_sequence": last_shown,
    "very_long_lag": last_shown_with("e"),
}


def asked(case: str):
    """The function (task, x) -> bool [n, T] of a case; None where a user's own says none."""
    name = case.split()[0]
    if not options.is_built_in("task", name):
        return config.found(of(case, "asked")) if of(case, "asked") else None
    assert name in READOUT, (
        f"conf/task/{name}.yaml: expected an entry {name!r} in READOUT of {__file__}: a function "
        "(task, x) -> bool [n, T], the steps at which the task's card says that something is "
        "asked, found from x"
    )
    return READOUT[name]


def test_readout_is_where_the_card_says(case, task):
    """At the steps that READOUT says, each counted once, and at no other."""
    if at := asked(case):
        for batch, (x, _, w) in every_batch(task):
            assert np.array_equal(w, at(task, x)), batch
    ends = valid_steps(sample(task)[2]).sum(axis=1)
    assert task.lag >= 0
    assert task.lag < ends.max() or task.endless


def test_events_are_valid_steps(task):
    for name, (x, _, w) in every_batch(task):
        events = task.events(x, w)
        assert events.dtype == bool, name
        assert events.shape == w.shape, name
        assert not (events & ~valid_steps(w)).any(), name


def test_names_of_lines(task):
    assert len(task.inputs) in (0, task.features)
    assert len(task.targets) in (0, task.outputs)


def test_baselines_and_summary(task):
    x, y, w = few(task, "test")
    losses = {"test": 0.25}
    for name, prediction in task.baselines(x, w).items():
        assert prediction.shape == y.shape, name
        losses[name] = loss(task.loss, y, prediction, w)
        assert name not in ("test", "chance", "memoryless"), "columns of every row"
        assert np.isfinite(losses[name]), name
    given = dict(losses)
    summary = task.summary(np.ones(task.test_size, bool), losses)
    assert all(
        isinstance(value, (int, float)) and np.isfinite(value) for value in summary.values()
    ), summary
    assert losses == given, "what it is given stays as it is"
    assert not set(summary) & {
        "test_error",
        *(f"{name}_loss" for name in (*given, "chance", "memoryless")),
    }


def test_yardsticks(task):
    assert criterion(**task.criterion).solved_at is None
    assert task.loss in LOSSES
    assert task.loss == "squared" or task.output_activation == "softmax"
    for entry in task.published:
        assert {"where", "sequences", "source"} <= set(entry)
        assert entry["sequences"] is None or entry["sequences"] > 0
        assert {"cell", "learner"} <= set(entry["where"])


def test_docstring_is_a_task_card(case, task):
    """`lstmlab-tasks` prints it; of a user's own task only that there is one."""
    lines = [line.strip() for line in type(task).__doc__.splitlines()]
    for word in CARD if options.is_built_in("task", case.split()[0]) else ():
        assert any(line.startswith(word) for line in lines), word


def test_large_sets_are_drawn_and_not_kept(task):
    for name, blocks in task.sets(0).items():
        if isinstance(blocks, Drawn):
            x, y, _ = next(iter(blocks))
            assert x.nbytes + y.nbytes < 2**27, name


@pytest.mark.parametrize(
    "case", [case for case in CASES if long(case) is not None and case not in NOT_LONG]
)
def test_a_million_steps_need_memory_for_one_piece(case):
    """No more memory for ten times as many chunks, and far less than whole sequences take."""
    task, chunk = build(case, *long(case)), 20_000
    peaks = []
    for pieces in (5, 50):
        tracemalloc.start()
        last = 0
        for x, _, w, _ in islice(task.chunks(0, 2, chunk), pieces):
            last += x.shape[1]
            assert w.shape == (2, chunk)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert last == 50 * chunk
    whole = 4 * 2 * last * (task.features + task.outputs + 1)
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 0.5 * whole


def test_symbols_are_those_of_the_lines(task):
    """`coded` draws what `sample` draws, and leaves the generator as it does."""
    generators = [np.random.default_rng(5) for _ in range(2)]
    coded = task.coded(generators[0], 50)
    if coded is None:
        assert generators[0].bit_generator.state == np.random.default_rng(5).bit_generator.state
        return
    codes, y, w = coded
    x, *same = task.sample(generators[1], 50)
    shown = valid_steps(w)
    lines = np.where(shown[..., None], np.arange(task.features) == codes[..., None], 0)
    np.testing.assert_array_equal(lines, np.where(shown[..., None], x, 0))
    assert not codes[~shown].any()
    for one, other in zip((y, w), same, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len({str(one.bit_generator.state) for one in generators}) == 1
