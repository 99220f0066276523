"""What trackers say of a failure becomes a few words."""

import pytest

from pipeline.training.trackers.worker import SAID, why


def test_why_names_what_the_system_said() -> None:
    """However many libraries have wrapped it."""
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
    """In one line, and none of a page."""
    assert why(ValueError("no\n key")) == "no key"
    assert why(KeyError()) == "KeyError"
    assert len(why(ValueError("a" * 1000))) == SAID + 1
