"""Times of digits only: dates as 20200131, or numbers."""

import numpy as np
import pandas as pd
from lstmlab.tasks.common.table.messages import fail, setting

COMPACT = {8: "%Y%m%d", 6: "%Y%m"}  # digits -> how they may be dates
OTHERS = {8: ("%d%m%Y", "%m%d%Y"), 6: ("%y%m%d", "%d%m%y", "%m%d%y", "%m%Y")}
YEARS = 1500, 2500  # in which dates without signs are thought to lie
MOST_DAYS = 31  # days of a month in a row: more numbers in a row only count


def dates_of(times: np.ndarray, width: int, said: str) -> tuple[np.ndarray, str]:
    """Whole numbers as dates, if all are: 20200131, 202001. Their order is the same.

    Args:
        times: The numbers.
        width: How many digits each has in the file, or 0 where they differ.
        said: The column, as a message says it.

    Returns:
        The dates or the numbers, and the format of the dates, or ''.

    Raises:
        ValueError: For numbers that may be dates of which the first digits are no year.
    """
    if width not in COMPACT:
        return times, ""
    words = pd.Series(times).astype(str).str.zfill(width)
    dates, right = _as(words, COMPACT[width])
    if not right and not _counts(times):
        _fail_for_others(words, width, said)
    if dates.isna().any():
        return times, ""
    return dates.to_numpy("datetime64[us]"), COMPACT[width]


def _as(words: pd.Series, format: str) -> tuple[pd.Series, bool]:
    """Words as dates, and whether all are dates of likely years."""
    dates = pd.to_datetime(words, format=format, errors="coerce")
    return dates, bool(dates.dt.year.between(*YEARS).all())


def _counts(times: np.ndarray) -> bool:
    """Whether the numbers are all those from the least to the largest, more than days."""
    different = len(np.unique(times))
    return different > MOST_DAYS and int(times.max()) - int(times.min()) + 1 == different


def _fail_for_others(words: pd.Series, width: int, said: str) -> None:
    different = pd.Series(words.unique())
    fits = [format for format in OTHERS[width] if _as(different, format)[1]]
    if fits:
        like = " or ".join(setting("time_format", format) for format in fits)
        fail(f"task.time_format: {like} reads every time in {said}", f"{different.iloc[0]!r}")
