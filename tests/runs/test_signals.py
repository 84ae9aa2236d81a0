"""Signals sent by this process to itself."""

import os
import signal
import threading

import pytest

from lstmlab.runs.signals import signals_held, stop_without


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_effect_after_what_was_held(number):
    before, done = signal.signal(number, signal.default_int_handler), []

    def held():
        with signals_held():
            os.kill(os.getpid(), number)
            done.append("written whole")

    try:
        with pytest.raises(KeyboardInterrupt):
            held()
        assert done == ["written whole"]
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_without_a_signal_the_handlers_are_as_before():
    """Both are others meanwhile; the signal of a handler that is none is left alone."""
    stops = (signal.SIGINT, signal.SIGTERM)
    own = {stop: lambda *_: None for stop in stops}
    before = {stop: signal.signal(stop, own[stop]) for stop in stops}
    try:
        with signals_held():
            assert all(signal.getsignal(stop) is not own[stop] for stop in stops)
            assert all(callable(signal.getsignal(stop)) for stop in stops)
        assert {stop: signal.getsignal(stop) for stop in stops} == own
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with signals_held():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGINT) is not own[signal.SIGINT]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is own[signal.SIGINT]
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


def test_the_end_of_the_parent_interrupts(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    stop_without(parent=os.getppid() + 1)
    assert sent == [(os.getpid(), signal.SIGINT)]


def test_nothing_is_held_outside_of_the_main_thread():
    """Python sets handlers in the main thread only.

    Elsewhere the context does nothing, without an error.
    """
    said = []

    def body():
        with signals_held():
            said.append("written")

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert said == ["written"]
