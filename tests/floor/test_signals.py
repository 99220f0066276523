"""Signals are answered as asked for a while, and afterwards as before."""

import signal
from collections.abc import Iterator

import pytest

from pipeline.signals import handled


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that nothing in this process answers at the end in another way than before."""
    before = signal.getsignal(request.param)
    yield request.param
    signal.signal(request.param, before)


@pytest.mark.parametrize("ends", [None, RuntimeError])
def test_handled(number: signal.Signals, ends: type[Exception] | None) -> None:
    """Nested, the inner handler answers first; each gives back to the one around it, however that ends."""
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
    """A closed terminal that is no reason to end stays none; other signals that are ignored are answered."""
    signal.signal(number, signal.SIG_IGN)
    came: list[int] = []
    with handled([number], lambda one, _: came.append(one)):
        signal.raise_signal(number)
    assert came == ([] if number == signal.SIGHUP else [number])
    assert signal.getsignal(number) == signal.SIG_IGN
