"""What every option is held to: tests of lstmlab's own options, and of those of its users.

    command   `lstmlab-conformance`, which runs them by pytest; `entry` and `plugin` tell pytest
    options   which options are under test, and what their folder says of them
    oracles   finite differences and random weights    branches   cells that stand for all
    test_*    the tests, one file for each group

Tests of other rooms may import oracles and branches. Importing this loads neither pytest nor
TensorFlow.
"""
