"""`ingest.strip` sets the number of folder levels above the class folders for files of data/raw."""

from pipeline.ingestion.labelling.strips import Strips


def test_names_are_stronger_than_globs_and_later_lines_than_earlier_ones() -> None:
    """Names have precedence over globs, and later lines over earlier ones; without a match it is None."""
    strips = Strips({"a.zip": 0, "*.zip": 1, "b*.zip": 2, "My Dataset/*": 1, "x [1].zip": 3})
    found = [strips.of(path) for path in ("a.zip", "c.zip", "b.zip", "My Dataset/cat/1.png", "x [1].zip", "a.tar")]
    assert found == [0, 1, 2, 1, 3, None]
    assert Strips({}).of("a.zip") is None
