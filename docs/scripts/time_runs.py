"""How long the page Gates takes to open: python docs/scripts/time_runs.py [COUNT ...]

A log folder of that many runs (default: 200) is opened in a headless Chromium, five times, each in
a browser of its own with a TensorBoard of its own. Printed are the seconds from the address to the
list of all runs and to the first chart. The runs are copies of one short run, with other seeds. It
needs chromium, chromedriver and selenium, and uses lstmlab as it is installed.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
RUN = ["trainer.budget=2000", "seed=0"]
sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))
from browser import headless, served, wait_until  # noqa: E402


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder) / "outputs"
        command = [Path(sys.executable).with_name("lstmlab"), *RUN, f"outputs={outputs}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run = next(outputs.glob("*/*/result.json")).parent
        for count in map(int, arguments or ["200"]):
            logs = Path(folder) / f"of {count}"
            copies(run, logs, count)
            found = [opened(logs, count) for _ in range(ROUNDS)]
            for what, seconds in zip(("list", "chart"), zip(*found, strict=True), strict=True):
                few, many = min(seconds), max(seconds)
                print(
                    f"{count:,} runs: {what} after {statistics.median(seconds):.1f} s "
                    f"({few:.1f} to {many:.1f} s in {ROUNDS} rounds)",
                    flush=True,
                )


def copies(run: Path, logs: Path, count: int) -> None:
    """Folders of runs that differ by seed."""
    row = json.loads((run / "result.json").read_text())
    for seed in range(count):
        folder = logs / f"{row['cell']} {row['learner']} s{seed}"
        shutil.copytree(run, folder)
        (folder / "result.json").write_text(json.dumps({**row, "seed": seed}))


def opened(logs: Path, count: int) -> tuple[float, float]:
    """Seconds until the list has all runs, and until a chart is there."""
    with served(logs) as address, headless() as driver:
        begin = time.monotonic()
        driver.get(f"{address}#lstmlab_gates")
        frame = wait_until(lambda: driver.find_elements("css selector", "iframe"))[0]
        driver.switch_to.frame(frame)
        wait_until(lambda: f"of {count} runs" in driver.find_element("tag name", "body").text)
        listed = time.monotonic() - begin
        wait_until(lambda: driver.find_elements("css selector", ".uplot"))
        return listed, time.monotonic() - begin


if __name__ == "__main__":
    main(sys.argv[1:])
