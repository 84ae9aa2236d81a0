"""What `lstmlab-explain` shows while it works: one line, which goes when the page is written."""

from tqdm import tqdm

PARTS = 10  # how many things are done for a page


class Progress:
    """Shows what is being done, on stderr where that is a terminal.

    Args:
        of: What it is done for, such as the name of a run.
        shown: False: nothing is shown anywhere.
    """

    def __init__(self, of: str, shown: bool = True):
        self.of, self.done = of, -1
        self.bar = tqdm(
            desc=of,
            total=PARTS,
            disable=None if shown else True,  # None: unless it is a terminal
            dynamic_ncols=True,
            leave=False,
            bar_format="{desc} |{bar}| {elapsed}",
        )

    def __call__(self, what: str) -> None:
        """Show what begins now; what was begun before is done."""
        self.done += 1
        self.bar.n = min(self.done, PARTS)
        self.bar.set_description_str(f"{self.of}: {what}")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()
