"""Errors of trackers are shortened."""

import pytest

from pipeline.training.trackers.worker import SAID, why


def test_why_names_what_the_system_said() -> None:
    """The system's message is found in any chain of exceptions."""
    with pytest.raises(RuntimeError) as raised:  # noqa: PT012
        try:
            try:
                raise ConnectionRefusedError(111, "Connection refused")
            except OSError as error:
                raise ValueError("HTTPConnectionPool(…): Max retries exceeded") from error
        except ValueError:
            raise RuntimeError("API request failed")  # noqa: B904
    assert why(raised.value) == "Connection refused"


def test_why_is_short() -> None:
    """The message is a short line, without HTML pages."""
    assert why(ValueError("no\n key")) == "no key"
    assert why(KeyError()) == "KeyError"
    assert len(why(ValueError("a" * 1000))) == SAID + 1
