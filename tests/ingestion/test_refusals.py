"""A refusal is kept as long as it would be repeated."""

import pytest

from pipeline.ingestion.refusals import Refusal


@pytest.mark.parametrize(
    ("reason", "detail", "is_outdated"),
    [
        ("unsupported format", "HEIC; convert it to PNG or JPEG", True),
        ("unsupported format", "DICOM; convert it to PNG or JPEG", True),
        ("unsupported format", "Photoshop (PSD); convert it to PNG or JPEG", True),
        ("not an image", "no known format", True),
        ("not an image", "in no format that is known", False),
        ("unsupported format", "SVG; convert it to PNG or JPEG", False),
        ("unsupported format", "a QOI file; not read here, convert it to PNG or JPEG", False),
        ("unsupported format", "a HEIC file; run `pip install numpy`, then `dvc repro`", True),
        ("unsupported format", "a HEIC file; run `pip install not-to-be-had`, then `dvc repro`", False),
        ("broken", "a file that says `pip install numpy`", False),
    ],
)
def test_what_may_be_read_now_is_looked_at_again(reason: str, detail: str, is_outdated: bool) -> None:  # noqa: FBT001
    """Files that this release, or an installed package, may read now are read again."""
    assert Refusal(reason, detail).is_outdated == is_outdated
