"""Signal handlers are replaced for a while, and restored afterwards."""

import signal
from collections.abc import Iterator

import pytest

from pipeline.signals import handled


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """Return a signal whose handler is restored at the end of the test."""
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize("ends", [None, RuntimeError])
def test_handled(number: signal.Signals, ends: type[Exception] | None) -> None:
    """If nested, the inner handler runs first; each restores the outer one, however it ends."""
    outer: list[int] = []
    inner: list[int] = []
    signal.signal(number, before := lambda *_: None)
    with handled([number], lambda came, _: outer.append(came)):
        try:
            with handled([number], lambda came, _: inner.append(came)):
                signal.raise_signal(number)
                if ends:
                    raise ends
        except RuntimeError:
            pass
        assert (outer, inner) == ([], [number])
        signal.raise_signal(number)
        assert (outer, inner) == ([number], [number])
    assert signal.getsignal(number) is before


def test_nohup(number: signal.Signals) -> None:
    """An ignored SIGHUP stays ignored; other ignored signals are handled."""
    signal.signal(number, signal.SIG_IGN)
    came: list[int] = []
    with handled([number], lambda one, _: came.append(one)):
        signal.raise_signal(number)
    assert came == ([] if number == signal.SIGHUP else [number])
    assert signal.getsignal(number) == signal.SIG_IGN
