"""`pipeline status` on data/raw with images that are mostly known and compared in columns."""

import dataclasses
import shutil
import zipfile
from pathlib import Path

import pytest
from conftest import Project

from pipeline import paths
from pipeline.commands.status.raw_changes import RawChanges, look
from pipeline.ingestion.settled import Settled
from pipeline.params import read_params
from pipeline.versioning.raw.content import look as look_at_raw


@pytest.fixture
def raw(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ingest forty images: in two archives, loose, and two that a labels.csv names."""
    folder = project.root / "data/raw"
    for number in range(2):
        with zipfile.ZipFile(folder / f"{number}.zip", "w") as archive:
            for image in project.add_digits(10 * number, 10 * number + 10):
                archive.write(image, image.relative_to(folder))
                image.unlink()
    loose = sorted(project.add_digits(20, 40))
    named = "".join(f"{image.relative_to(folder)},digit 9,{number}\n" for number, image in enumerate(loose[:2]))
    (folder / "labels.csv").write_text("path,label,place\n" + named)
    project.add_raw()
    for stage in ("listing", "ingest"):
        project.pipeline("run", stage)
    monkeypatch.chdir(project.root)
    return folder


def seen(before: dict[str, str]) -> RawChanges:
    """Return the changes in data/raw, and assert that a comparison with an object per place gives the same."""
    params, content = read_params(paths.PARAMS), look_at_raw()
    found = look(content, before, params, 60)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Settled, "among", lambda files, contents, _: Settled.none(files, contents))
        one_by_one = look(content, before, params, 60)
    assert dataclasses.asdict(found) == dataclasses.asdict(one_by_one)
    return found


@pytest.mark.usefixtures("raw")
def test_nothing_changed() -> None:
    """If nothing changed, no changes are reported."""
    found = seen(look_at_raw().here)
    assert str(found) == "the same images"
    assert (found.copies, found.moved, found.images, found.rewrites) == (0, 0, 40, False)


def test_all_kinds_of_changes(project: Project, raw: Path) -> None:
    """New, copied, moved, removed and relabelled images, loose and in archives, are each counted."""
    before, loose = look_at_raw().here, sorted(raw.glob("digit*/*.png"))
    project.add_digits(40, 43)
    shutil.copy(raw / "0.zip", raw / "copy.zip")
    shutil.copy(loose[5], loose[5].with_name("zzz.png"))
    loose[6].rename(loose[6].with_name("moved.png"))
    loose[7].unlink()
    (raw / "labels.csv").write_text((raw / "labels.csv").read_text().replace("digit 9,0", "digit 8,0"))
    with zipfile.ZipFile(raw / "new.zip", "w") as archive:
        image = project.add_digits(43, 44)[0]
        archive.write(image, image.relative_to(raw))
    found = seen(before)
    assert (found.new, found.copies, found.moved, found.removed, found.relabelled) == (4, 12, 1, 1, 1)
    assert (found.found, found.looked_at, found.unopened, found.images) == (5, 5, 0, 43)


def test_moved_images_are_not_compared_as_new_ones(raw: Path) -> None:
    """Images that moved to one class in rewritten archives do not count as new, so no drift is reported."""
    before = look_at_raw().here
    for path in (raw / "0.zip", raw / "1.zip"):
        with zipfile.ZipFile(path) as archive:
            images = [(name, archive.read(name)) for name in archive.namelist()]
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in images:
                archive.writestr(f"digit 0/{name.replace('/', '-')}", data)
    found = seen(before)
    assert (found.new, found.moved, found.found, found.looked_at) == (0, 20, 20, 20)
    assert found.drift == []


@pytest.mark.parametrize(("is_known", "copies"), [(True, 1), (False, 0)])
def test_copies_are_counted_where_it_is_known_what_was_there(raw: Path, *, is_known: bool, copies: int) -> None:
    """In a fresh clone, which lacks ingest's last list of files, no copies are counted."""
    before, image = look_at_raw().here, min(raw.glob("digit*/*.png"))
    shutil.copy(image, image.with_name("zzz.png"))
    found = look(look_at_raw(), before if is_known else None, read_params(paths.PARAMS), 60)
    assert (found.new, found.copies) == (0, copies)
