"""What refusals of learners and of tables share: texts, and the form of a message."""

import pytest

DROPOUT = "expected dropout=0 and recurrent_dropout=0, since no dropout is applied here"


def refused(match, read, *arguments, **settings):
    """Reading a table is refused, in one line."""
    with pytest.raises(ValueError, match=match) as caught:
        read(*arguments, **settings)
    text = str(caught.value)
    assert text.startswith("Csv: expected ")
    assert "Received: " in text
    assert "\n" not in text
