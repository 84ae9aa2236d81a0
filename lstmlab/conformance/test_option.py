"""Every option under test can be read and made as a run makes it."""

import pytest

from lstmlab.conformance import options


@pytest.mark.parametrize(("group", "name"), options.everything())
def test_a_run_can_make_it(group, name):
    if why := options.problem(group, name):
        pytest.fail(f"{group}={name}: {why}", pytrace=False)
