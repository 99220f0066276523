"""A folder of images to label."""

from pathlib import Path

import pytest
from support.kinds import noise

from pipeline.commands.next.batch import Proposal, name_in_batch, write_batch
from pipeline.errors import ImagesError
from pipeline.files import md5_of_file
from pipeline.ingestion.decoding import Place
from pipeline.ingestion.scan import Spot


def proposal(path: Path, label: str = "cat") -> Proposal:
    """Return a proposed image."""
    spot = Spot(Place(str(path)), path.name, path.name, None)
    return Proposal(name_in_batch(1, spot), spot, md5_of_file(path), label, 0.5, "dog", 0.4)


def test_changed_images_leave_nothing(tmp_path: Path) -> None:
    """An image that changed or was removed meanwhile is an error, and no folder is left."""
    path = tmp_path / "a.png"
    noise(0).save(path)
    one = proposal(path)
    path.write_bytes(b"other")
    with pytest.raises(ImagesError, match=r"a\.png: changed while it was read; run the command again"):
        write_batch([one], tmp_path / "batch")
    path.unlink()
    with pytest.raises(ImagesError, match="changed while it was read"):
        write_batch([one], tmp_path / "batch")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("label", "mark"), [("cat", False), ("kätze", True)])
def test_spreadsheets_read_the_labels(tmp_path: Path, label: str, mark: bool) -> None:  # noqa: FBT001
    """labels.csv starts with a byte-order mark where spreadsheets need it to detect UTF-8."""
    noise(0).save(tmp_path / "a.png")
    write_batch([proposal(tmp_path / "a.png", label)], tmp_path / "batch")
    data = (tmp_path / "batch/labels.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf") == mark
    assert data.decode("utf-8-sig") == f"path,label\n0001-a.png,{label}\n"
