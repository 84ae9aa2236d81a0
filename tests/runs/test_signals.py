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


def test_without_a_signal_nothing_happens():
    with signals_held():
        pass


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
