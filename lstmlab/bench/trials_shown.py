"""The measurements of `trials` as text and as a picture, and the machine that they are of."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd

from lstmlab import files
from lstmlab.bench.defaults import TRIAL_SIZES
from lstmlab.bench.trials import cores

PACKAGES = ("lstmlab", "numpy", "numba", "llvmlite", "keras", "tensorflow")
WIDTHS = (("avx512f", "AVX-512, 512 bits"), ("avx2", "AVX2, 256 bits"), ("avx", "AVX, 256 bits"),
          ("sse2", "SSE2, 128 bits"), ("neon", "NEON, 128 bits"))  # fmt: skip
WORDS = {
    "whole": "Native",
    "kernel": "kernel alone",
    "sampling": "sampling alone",
    "keras": "KerasFit",
}


def machine() -> str:
    """Processor, cores, the widest vectors that LLVM uses for it, and versions."""
    from llvmlite import binding

    features = dict(binding.get_host_cpu_features())
    width = next((words for name, words in WIDTHS if features.get(name)), "none known")
    lines = [
        f"processor: {_processor()} ({platform.machine()}), {cores()} cores for this process",
        f"vectors: {width}, for LLVM's {binding.get_host_cpu_name()}",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions: " + ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
    ]
    return "\n".join(lines)


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or "unknown"
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def by_size(raw: pd.DataFrame) -> pd.DataFrame:
    """Medians over the rounds; a ratio is taken within each round.

    Returns:
        Columns size, learner, what, cores; ns and cpu ns, per step and trial; quartiles of ns;
        x KerasFit, how many times faster, and x cpu, how many times less of the processor's time;
        x one core, how many times faster than the same there.
    """
    rows = []
    parts = raw[raw["part"] == "size"]
    for (size, learner), some in parts.groupby(["size", "learner"], sort=False):
        ns = some.pivot_table(index="round", columns=["what", "cores"], values="ns")
        cpu = some.pivot_table(index="round", columns=["what", "cores"], values="cpu_ns")
        known = [(what, count) for what in WORDS for count in sorted(some["cores"].unique())]
        for what, count in known:
            if (what, count) not in ns:
                continue
            own = ns[what, count]
            both = ns["keras", 1] / own if ("keras", 1) in ns else own * float("nan")
            of_cpu = (
                cpu["keras", 1] / cpu[what, count] if ("keras", 1) in cpu else own * float("nan")
            )
            rows.append({
                "size": size, "learner": learner, "what": WORDS[what], "cores": count,
                "ns": own.median(), "lower quartile": own.quantile(0.25),
                "upper quartile": own.quantile(0.75), "cpu ns": cpu[what, count].median(),
                "x KerasFit": both.median(), "x cpu": of_cpu.median(),
                "x one core": (ns[what, 1] / own).median(),
            })  # fmt: skip
    return pd.DataFrame(rows)


def by_length(raw: pd.DataFrame) -> pd.DataFrame:
    """Medians against length, in nanoseconds of the processor per step and trial.

    Returns:
        Columns steps; Native, kernel alone, sampling alone; MB: memory beyond that at the start.
    """
    parts = raw[raw["part"] == "length"].astype({"size": int})
    names = ["whole", "kernel", "sampling"]
    found = parts.pivot_table(index="size", columns="what", values="cpu_ns", aggfunc="median")
    found = found.reindex(columns=names).set_axis([WORDS[name] for name in names], axis=1)
    found["MB"] = parts[parts["what"] == "whole"].groupby("size")["peak_mb"].median()
    return found.rename_axis("steps").reset_index()


def tables(raw: pd.DataFrame) -> str:
    """What the command prints: nanoseconds per step and trial."""
    text = []
    sizes, lengths = by_size(raw), by_length(raw)
    if len(sizes):
        for name in sizes["size"].unique():
            text.append(f"{name}: {TRIAL_SIZES[name][0]}\n")
            some = sizes[sizes["size"] == name].drop(columns="size")
            text.append(some.to_markdown(index=False, floatfmt=".4g", missingval="") + "\n")
    if len(lengths):
        words = "Streams of sequences of so many steps, 16 trials on one core: processor time"
        text.append(f"{words}\n")
        text.append(lengths.to_markdown(index=False, floatfmt=".4g"))
    return "\n".join(text)


def draw(raw: pd.DataFrame, path: str) -> None:
    """Nanoseconds per step and trial by size; time and memory against length. Raises WriteError."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    sizes, lengths = by_size(raw), by_length(raw)
    learners = list(sizes["learner"].unique()) if len(sizes) else []
    panels = len(learners) + bool(len(lengths))
    if not panels:
        raise ValueError("trials: expected sizes or lengths to draw. Received: none")
    figure = Figure(figsize=(9, 0.3 + 3.6 * panels), layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(panels, 1, squeeze=False)[:, 0])
    for axis, learner in zip(axes, learners, strict=False):
        some = sizes[sizes["learner"] == learner].copy()
        names = list(some["size"].unique())
        bars = list(dict.fromkeys(zip(some["what"], some["cores"], strict=True)))
        for k, (what, count) in enumerate(bars):
            own = some[(some["what"] == what) & (some["cores"] == count)].set_index("size")["ns"]
            at = [
                names.index(name) + (k - (len(bars) - 1) / 2) * 0.8 / len(bars)
                for name in own.index
            ]
            label = f"{what}, {count} core{'s' * (count > 1)}"
            drawn = axis.bar(at, own, width=0.8 / len(bars), label=label)
            axis.bar_label(drawn, [f"{value:.3g}" for value in own], fontsize=6, padding=1)
        axis.set(title=f"Time of a step of one trial, nanoseconds ({learner})", yscale="log")
        axis.set_xticks(range(len(names)), names)
        axis.margins(y=0.2)
        axis.set_ylim(top=8 * axis.get_ylim()[1])  # room for the legend
        axis.legend(fontsize=7, ncols=3)
    if len(lengths):
        left = axes[-1]
        for k, name in enumerate(("Native", "kernel alone", "sampling alone")):
            left.plot(lengths["steps"], lengths[name], "o-", color=f"C{k}", label=name)
        left.legend(fontsize=7)
        left.set(title="16 trials on one core, against the length of their sequences",
                 xlabel="steps of a sequence", xscale="log", yscale="log")  # fmt: skip
        left.set_ylabel("nanoseconds per step and trial")
        right = left.twinx()
        right.plot(lengths["steps"], lengths["MB"], "s--", color="C3")
        right.set(ylim=(0, max(10.0, 1.2 * lengths["MB"].max())))
        right.set_ylabel("memory beyond that at the start, MB", color="C3")
        left.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        left.xaxis.set_minor_formatter(NullFormatter())
    with files.whole(path) as draft:
        figure.savefig(draft)
