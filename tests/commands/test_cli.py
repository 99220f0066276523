"""`pipeline` adds images to data/raw and removes them atomically, without changing any id."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from conftest import ROOT, Project
from PIL import Image
from support.kills import kill_before

from pipeline import cli, paths
from pipeline.commands.data import packing, workbench
from pipeline.commands.holdings import Holdings
from pipeline.versioning import removals
from pipeline.versioning.raw.absence import note_absent

Capture = pytest.CaptureFixture[str]


def png(number: int) -> bytes:
    """Return an image that differs for each `number`."""
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), np.uint8)).save(out, "PNG")
    return out.getvalue()


def md5(data: bytes) -> str:
    """Return an image's id."""
    return hashlib.md5(data).hexdigest()


def put(files: dict[str, bytes], *, into: Path = paths.RAW) -> Path:
    """Write `files`, by path relative to the folder `into`, and return the folder."""
    for name, data in files.items():
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return into


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip archive of `files`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, files: dict[str, bytes]) -> Path:
    """Write a compressed tar archive of `files`."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def members(path: Path) -> dict[str, bytes]:
    """Return the members of a zip archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def raw() -> dict[str, str]:
    """Return the files of data/raw, and their MD5."""
    return {
        path.relative_to(paths.RAW).as_posix(): md5(path.read_bytes())
        for path in sorted(paths.RAW.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty project; one process decodes."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(text.replace("workers: 0", "workers: 1"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def photos(here: Path) -> Path:
    """Make a realistic folder: classes, copies, an archive, and files that are not images."""
    put(
        {
            "cat/1.PNG": png(1),
            "cat/deep/2.png": png(2),
            "cat/copy.png": png(1),
            "dog/3.png": png(3),
            "dog/text.png": b"no image",
            "loose.png": png(4),
            "cat/both.png": png(5),
            "dog/both.png": png(5),
            "dog/.DS_Store": b"x",
        },
        into=here / "photos",
    )
    make_zip(here / "photos/more.zip", {"dog/6.png": png(6), "dog/copy.png": png(3)})
    make_tar(here / "photos/cat/old.tar.gz", {"9.png": png(9), "8.png": png(8), "7.png": png(7)})
    return here / "photos"


def test_check_says_what_ingest_would_do(photos: Path, here: Path, capsys: Capture) -> None:
    """`check` counts images by class, names refused files with the reason, and writes nothing."""
    assert cli.main(["check", "photos"]) == 1
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[:4]] == [
        ["class", "new", "known", "copies", "shorter", "side"],
        ["cat", "5", "0", "1", "8", "px"],
        ["dog", "2", "0", "1", "8", "px"],
        ["all", "7", "0", "2", "8", "px"],
    ]
    assert "refused 5:\n  2 two labels: the same image is in cat, dog\n" in out
    for name, reason, detail in (
        ("dog/text.png", "not an image", "in no format that is known"),
        ("loose.png", "no class folder", "put it into a folder named after its class"),
        ("cat/both.png", "two labels", "the same image is in cat, dog"),
        ("dog/.DS_Store", "system file", "left by an operating system"),
    ):
        assert re.search(rf"  \d {reason}: {detail}.*\n(    .*\n)?    photos/{name}\n", out)
    assert "2 classes of fewer than 10 images: dog (2), cat (5)" in out
    assert cli.main(["check", str(photos / "more.zip")]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["params.yaml", "photos"]


def test_check_fits_into_a_screen(here: Path, capsys: Capture) -> None:
    """Of many classes and refused files only the largest or first are shown, with counts; --json and --csv list all."""
    put({f"{'long' * 40}/{number:02d}": b"?" for number in range(25)}, into=here / "bad")
    put({f"a/{number:02d}": b"" for number in range(30)}, into=here / "bad")
    put({f"class {number}/{number}.png": png(number) for number in range(12)}, into=here / "bad")
    assert cli.main(["check", "bad"]) == 1
    out = capsys.readouterr().out
    assert "refused 55:\n  30 empty: 0 bytes\n    bad/a/00\n    bad/a/01\n    bad/a/02\n  25 not" in out
    assert "… 4 more classes" in out
    assert len(out.splitlines()) <= 40
    assert max(map(len, out.splitlines())) <= 100
    assert cli.main(["check", "bad", "--json", "--csv", "all.csv"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert len(found["refused"]) == 55
    assert found["classes"]["class 3"] == {"new": 1, "known": 0, "copies": 0, "shorter_side": [8, 8]}
    lines = (here / "all.csv").read_text("utf-8").splitlines()
    assert lines[0] == "source,status,label,id,detail,width,height"
    assert len(lines) == 1 + 55 + 12


def test_sizes_and_small_classes(photos: Path, here: Path, capsys: Capture) -> None:
    """The reported size is that of the file before conversion; a class's count includes its images in data/raw."""
    Image.new("L", (900, 700)).save(photos / "cat/large.png")
    cli.main(["check", "photos"])
    out = capsys.readouterr().out
    assert "8–700 px" in out
    assert "dog (2), cat (6)" in out
    assert cli.main(["add", "photos"]) == 0
    more = put({f"cat/more/{number}.png": png(100 + number) for number in range(4)}, into=here / "more")
    capsys.readouterr()
    assert cli.main(["check", str(more)]) == 0
    assert "fewer than" not in capsys.readouterr().out


def test_add_makes_one_archive(photos: Path, capsys: Capture) -> None:
    """The archive contains exactly the new usable images, with their original bytes, named by class and id."""
    assert cli.main(["add", str(photos)]) == 0
    (archive,) = paths.RAW.iterdir()
    expected = [("cat", number) for number in (1, 2, 7, 8, 9)] + [("dog", number) for number in (3, 6)]
    names = {f"{label}/{md5(png(number))}.png": png(number) for label, number in expected}
    assert members(archive) == names
    assert list(members(archive)) == sorted(names)
    with zipfile.ZipFile(archive) as file:
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
    out = capsys.readouterr().out
    assert f"added 7 images as {archive}; 0 known already, 2 copies, 5 refused" in out
    assert out.endswith("next: dvc add data/raw && dvc repro\n")


def test_the_same_images_make_the_same_bytes(photos: Path, here: Path) -> None:
    """The same images give the same archive, whatever their names, places and packing."""
    assert cli.main(["add", str(photos)]) == 0
    (first,) = paths.RAW.iterdir()
    before = (first.name, first.read_bytes())
    first.unlink()
    os.utime(photos / "cat/1.PNG", (1, 1))
    put({f"cat/{number}.jpeg": png(number) for number in (9, 8, 7, 2, 1)}, into=here / "other")
    make_tar(here / "dogs.tgz", {"dog/x": png(6), "dog/y": png(3)})
    assert cli.main(["add", "dogs.tgz", "other"]) == 0
    (second,) = paths.RAW.iterdir()
    assert (second.name, second.read_bytes()) == before


def test_add_twice(photos: Path, here: Path, capsys: Capture) -> None:
    """Added images are known even before a run; removed images are new again."""
    cli.main(["add", str(photos)])
    before = raw()
    assert cli.main(["add", str(photos)]) == 0
    assert "nothing new: 7 known already, 2 copies, 5 refused" in capsys.readouterr().out
    assert raw() == before
    make_zip(here / "next.zip", {"cat/1.png": png(1), "cat/10.png": png(10), "cat/3.png": png(3)})
    assert cli.main(["add", "next.zip"]) == 0
    out = capsys.readouterr().out
    assert "added 1 image" in out
    assert "in data/raw it is of class dog" in out
    assert len(raw()) == 2
    assert cli.main(["remove", md5(png(1))]) == 0
    assert cli.main(["add", "next.zip"]) == 0
    assert "added 1 image" in capsys.readouterr().out


def test_labels(here: Path, capsys: Capture) -> None:
    """`--label` sets the class of all images; without it a file needs a folder or a line in labels.csv."""
    put({"cat/1.png": png(1), "2.png": png(2)}, into=here / "photos")
    assert cli.main(["add", "photos/2.png"]) == 1
    assert "no usable image in it" in capsys.readouterr().err
    assert not paths.RAW.exists()
    for label, prefix in (('a "b", c%\\d', 'a "b", c%\\d'), ("cafe\u0301", "café")):
        assert cli.main(["add", "photos", "--label", label]) == 0
        (archive,) = paths.RAW.iterdir()
        assert {name.rpartition("/")[0] for name in members(archive)} == {prefix}
        archive.unlink()
    for label in ("", ".", "..", "a/b", "c:", "..\\x", "\0", "a\nb", "__MACOSX", "\udcff"):
        assert cli.main(["add", "photos", "--label", label]) == 1
        assert "cannot be the name of a class" in capsys.readouterr().err
    (here / "photos/labels.csv").write_text("path,label,camera\n2.png,owl,left\n")
    capsys.readouterr()
    assert cli.main(["add", "photos"]) == 0
    assert "with a labels.csv in it, for the further columns of 1 image" in capsys.readouterr().out
    (archive,) = paths.RAW.iterdir()
    assert sorted(name.partition("/")[0] for name in members(archive)) == ["cat", "labels.csv", "owl"]
    assert members(archive)["labels.csv"].decode() == f"path,label,camera\nowl/{md5(png(2))}.png,owl,left\n"
    archive.unlink()
    (paths.RAW / "labels.csv").write_text("path,label,camera\n*/owl/*.png,owl,right\n")
    assert cli.main(["add", "photos"]) == 1
    assert "a glob in it would hide the further columns of new images of class owl" in capsys.readouterr().err
    (paths.RAW / "labels.csv").write_text("path,label\n*.png,bird\n")
    assert cli.main(["add", "photos"]) == 1
    assert "a glob in it, or in ingest.strip, would make bird of new images of class cat" in capsys.readouterr().err
    assert list(raw()) == ["labels.csv"]


def test_counts_of_classes_that_look_alike(here: Path, capsys: Capture) -> None:
    """Warnings about similar class names count usable images once: those in data/raw, and new ones."""
    names = {f"Dog/{number}.png": png(number) for number in range(3)} | {"dog/3.png": png(3), "dog/bad.png": b"x"}
    put(names, into=here / "photos")
    wanted = "classes 'Dog' (3 images) and 'dog' (1 image) differ in case, accents or blanks only"
    cli.main(["check", "photos"])
    assert wanted in capsys.readouterr().out
    (here / "photos/dog/bad.png").unlink()
    assert cli.main(["add", "photos"]) == 0
    capsys.readouterr()
    assert cli.main(["check", "photos"]) == 0
    assert wanted in capsys.readouterr().out


@pytest.mark.parametrize("path", ["data/raw", "data/raw/cat/1.png", "data", ".", "nowhere"])
def test_add_refuses_what_is_there(here: Path, capsys: Capture, path: str) -> None:
    """data/raw cannot be added to itself, and a missing path is an error."""
    put({"cat/1.png": png(1)})
    assert cli.main(["add", path]) == 1
    assert capsys.readouterr().err.startswith(f"pipeline: error: {path}: ")
    assert list(raw()) == ["cat/1.png"]
    assert here.exists()


def test_add_needs_the_images_that_were_here(photos: Path, capsys: Capture) -> None:
    """If known images are not present, `add` refuses, since a new archive alone would look as if they were removed."""
    paths.RAW_DVC.parent.mkdir()
    paths.RAW_DVC.write_text("outs:\n- md5: 1.dir\n  path: raw\n")
    note_absent([])
    assert cli.main(["add", str(photos)]) == 1
    assert "dvc pull data/raw.dvc" in capsys.readouterr().err
    assert not paths.RAW.exists()


def test_hostile_names(here: Path, capsys: Capture) -> None:
    """File names of any bytes, pipes, broken links and link cycles are harmless, and are escaped on the terminal."""
    photos = put({"ca\x1b[31mt/1\n.png": png(1), "c:/2.png": png(2), "..x/3.png": png(3)}, into=here / "photos")
    bad = os.fsencode(photos) + b"/caf\xe9"
    os.mkdir(bad)  # noqa: PTH102 (bytes)
    with open(bad + b"/4.png", "wb") as file:  # noqa: PTH123 (bytes)
        file.write(png(4))
    os.mkfifo(photos / "..x/pipe.png")
    (photos / "..x/gone.png").symlink_to("nowhere")
    (photos / "..x/circle").symlink_to(photos)
    make_zip(photos / "evil.zip", {"../5.png": png(5), "/6.png": png(6), "cat/7.png": png(7)})
    (photos / "broken.zip").write_bytes(b"PK\3\4")
    assert cli.main(["add", "photos"]) == 0
    (archive,) = paths.RAW.iterdir()
    assert {name.rpartition("/")[0] for name in members(archive)} == {"..x", "caf\\xe9", "cat"}
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for said in ("3 unsafe name", "c:/2.png: no name for a class", "pipe.png: not a file", "gone.png: no such file"):
        assert said in out
    for said in ("evil.zip!/../5.png: would be written", "\n    photos/broken.zip\n", "1\\n.png"):
        assert said in out
    assert not list(here.rglob("[56].png"))
    assert cli.main(["check", "photos"]) == 1


def _fail(*_: object) -> NoReturn:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["os.replace", "os.fsync", "zipfile.ZipFile.writestr"])
@pytest.mark.parametrize("command", ["add", "remove", "pack"])
def test_a_failure_changes_nothing(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, step: str, command: str
) -> None:
    """If any write fails, data/raw does not change, and the error is one line."""
    put({"cat/1.png": png(21), "cat/2.png": png(22)})
    make_zip(paths.RAW / "a.zip", {"cat/3.png": png(23), "cat/4.png": png(24)})
    if command == "remove" and "writestr" in step:
        step = "pipeline.commands.data.remainder._copy"
    before = raw()
    arguments = {"add": [str(photos)], "remove": ["a.zip!/cat/3.png"], "pack": []}[command]
    with monkeypatch.context() as patch:
        patch.setattr(step, _fail)
        assert cli.main([command, *arguments]) == 1
    assert raw() == before
    assert not workbench.FOLDER.exists()
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("pipeline: error: ")
    assert "No space left on device" in error[-1]
    assert cli.main([command, *arguments]) == 0
    assert raw() != before


def test_killed_add(here: Path) -> None:
    """A kill leaves no partial file in data/raw, and the same command completes."""
    put({f"cat/{number}.png": png(number) for number in range(40)}, into=here / "photos")
    slow = "import os, sys, time\nfrom pipeline import cli\n"
    slow += (
        "os.fsync = lambda fd: (print('writing', flush=True), time.sleep(60))\nsys.exit(cli.main(['add', 'photos']))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, "-c", slow], stdout=subprocess.PIPE, env=env, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "writing\n"
    second = subprocess.run(
        [sys.executable, "-m", "pipeline", "add", "photos"], env=env, capture_output=True, text=True, check=False
    )
    assert "another `pipeline` command is changing it" in second.stderr
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    assert not paths.RAW.exists() or not raw()
    deadline = time.monotonic() + 30
    while cli.main(["add", "photos"]) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert len(raw()) == 1


@pytest.fixture
def full(here: Path) -> Path:
    """Fill data/raw with images, loose and in archives, some of them several times."""
    put({"cat/1.png": png(1), "cat/2.png": png(2), "dog/[3].png": png(3), "cat/text.png": b"?"})
    make_zip(paths.RAW / "a.zip", {"cat/1 again.png": png(1), "cat/4.png": png(4), "cat/5.png": png(5)})
    make_tar(paths.RAW / "dog/b.tar.gz", {"1.png": png(6), "2.png": png(1), "3.png": png(7)})
    make_zip(paths.RAW / "c.zip", {"cat/1.png": png(1)})
    return here


def held() -> dict[str, list[int]]:
    """Return the images in each file of data/raw."""
    from pipeline.commands.holdings import Holdings

    numbers = {md5(png(number)): number for number in range(10)}
    found: dict[str, list[int]] = {}
    for source in Holdings.read():
        found.setdefault(source.place.path, []).append(numbers.get(source.id or "", -1))
    return found


@pytest.mark.parametrize(
    "name",
    [md5(png(1)), md5(png(1))[:8].upper(), "cat/1.png", "data/raw/cat/1.png", "c.zip!/cat/1.png", "c.zip", "*/1.png"],
)
def test_remove_takes_out_every_copy(full: Path, capsys: Capture, name: str) -> None:
    """An image is removed from all its places, however it is named; everything else stays."""
    if name == "*/1.png":
        (paths.RAW / "dog/b.tar.gz").unlink()
    before = raw()
    assert cli.main(["remove", "--dry-run", name]) == 0
    assert raw() == before
    assert cli.main(["remove", name]) == 0
    expected = {"a.zip": [4, 5], "cat/2.png": [2], "cat/text.png": [-1], "dog/[3].png": [3], "dog/b.tar.gz": [6, 7]}
    if name == "*/1.png":
        del expected["dog/b.tar.gz"]
    assert held() == expected
    out = capsys.readouterr().out
    assert f"removed 1 image from {3 if name == '*/1.png' else 4} places:" in out
    assert "a.zip!/cat/1 again.png" in out
    assert full.exists()


def test_remove_by_other_names(full: Path) -> None:
    """A name is matched literally before it is used as a glob pattern; refused files can be named, too."""
    assert cli.main(["remove", "dog/[3].png", "cat/text.png", "dog/b.tar.gz!/3.png"]) == 0
    expected = {"a.zip": [1, 4, 5], "c.zip": [1], "cat/1.png": [1], "cat/2.png": [2], "dog/b.tar.gz": [6, 1]}
    assert held() == expected
    os.mkfifo(paths.RAW / "cat/pipe.png")
    (paths.RAW / "cat/gone.png").symlink_to("nowhere")
    (paths.RAW / "gone.zip").symlink_to("nowhere")
    assert cli.main(["remove", "cat/gone.png"]) == 0
    assert os.path.lexists(paths.RAW / "gone.zip")
    assert cli.main(["remove", "*"]) == 0
    assert raw() == {}
    assert full.exists()


@pytest.mark.parametrize("moment", ["a.zip", "cat/2.png"])
def test_remove_goes_on_after_a_kill(full: Path, capsys: Capture, moment: str) -> None:
    """After a kill the same command removes the rest; names that are gone count as removed."""
    names = ["cat/1.png", "cat/2.png", "dog/*"]
    assert kill_before(moment, "remove", *names, folder=full)
    assert cli.main(["remove", *names]) == 0
    assert held() == {"a.zip": [4, 5], "cat/text.png": [-1]}
    noted = set(removals.NOTE.read_text().split())
    assert {md5(png(number)) for number in (1, 2, 3, 6, 7)} <= noted
    capsys.readouterr()
    assert cli.main(["remove", names[0]]) == 1
    assert "nothing in it is called 'cat/1.png'" in capsys.readouterr().err


def test_remove_writes_into_no_file(full: Path) -> None:
    """If data/raw consists of links to DVC's cache, the cached files do not change."""
    cache = full / "cache"
    cache.mkdir()
    for number, path in enumerate(sorted(path for path in paths.RAW.rglob("*") if path.is_file())):
        path.rename(cache / str(number))
        if number % 2:
            path.symlink_to(cache / str(number))
        else:
            os.link(cache / str(number), path)
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    assert cli.main(["remove", md5(png(1))]) == 0
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == before


def test_remove_names_the_nearest(full: Path, capsys: Capture) -> None:
    """An unknown name is an error that suggests similar ones; an ambiguous id prefix is an error, too."""
    before = raw()
    assert cli.main(["remove", "cat/4.pn", "cat/1.png"]) == 1
    assert "nothing in it is called 'cat/4.pn'; the nearest is " in capsys.readouterr().err
    from pipeline.commands.data import removal

    removal_shortest, removal.SHORTEST = removal.SHORTEST, 1
    ids = [md5(png(number)) for number in range(1, 8)]
    twice = next(image_id[0] for image_id in ids if sum(other[0] == image_id[0] for other in ids) > 1)
    try:
        assert cli.main(["remove", twice]) == 1
    finally:
        removal.SHORTEST = removal_shortest
    assert "the ids of several images begin with" in capsys.readouterr().err
    assert raw() == before
    shutil.rmtree(paths.RAW)
    for command in (["remove", "x"], ["pack"]):
        assert cli.main(command) == 1
        assert "no such folder" in capsys.readouterr().err
    assert full.exists()


def test_pack(full: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Loose images in class folders are packed into archives of limited size with their paths; all else stays."""
    put({"cat/deep/8.png": png(8), "dog/9.png": png(9), "loose.png": png(10), "owl/0.png": png(0)})
    (paths.RAW / "labels.csv").write_text("path,label\nowl/0.png,bird\n")
    monkeypatch.setattr(packing, "MAX_FILES", 4)
    images = sorted(number for numbers in held().values() for number in numbers)
    assert cli.main(["pack", "--min", "7"]) == 0
    assert "6 loose images, left as they are" in capsys.readouterr().out
    assert cli.main(["pack"]) == 0
    said = capsys.readouterr().out
    assert "1 image left loose, since labels.csv or ingest.strip determines" in said
    assert "such as owl/0.png\n" in said
    packed = sorted(paths.RAW.glob("packed-*.zip"))
    assert sorted([list(members(path)) for path in packed]) == [
        ["cat/1.png", "cat/2.png", "cat/deep/8.png", "cat/text.png"],
        ["dog/9.png", "dog/[3].png"],
    ]
    stay = ["a.zip", "c.zip", "dog/b.tar.gz", "labels.csv", "loose.png", "owl/0.png"]
    assert sorted(raw()) == sorted([*stay, *(path.name for path in packed)])
    assert sorted(number for numbers in held().values() for number in numbers) == images
    before = raw()
    assert cli.main(["pack"]) == 0
    assert raw() == before
    assert full.exists()


def test_pack_completes_what_was_interrupted(full: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """A kill between writing the archive and removing loose files loses nothing; the next run removes duplicates."""
    before = held()
    with monkeypatch.context() as patch:
        patch.setattr(packing, "_unlink", lambda images: _fail() if images else None)
        assert cli.main(["pack"]) == 1
    (archive,) = paths.RAW.glob("packed-*.zip")
    assert held() == {**before, archive.name: [1, 2, -1, 3]}
    (paths.RAW / "cat/2.png").write_bytes(png(9))  # The same name with another image.
    assert cli.main(["pack"]) == 0
    assert "packed 4 images into 1 archive, 3 before" in capsys.readouterr().out
    (new,) = set(paths.RAW.glob("packed-*.zip")) - {archive}
    assert members(new) == {"cat/2.png": png(9)}
    assert not [path for path in raw() if path.startswith("cat/")]
    assert full.exists()


def test_pack_is_deterministic(full: Path) -> None:
    """The same loose files give the same archives."""
    shutil.copytree(paths.RAW, full / "copy")
    cli.main(["pack"])
    before = raw()
    shutil.rmtree(paths.RAW)
    shutil.copytree(full / "copy", paths.RAW, copy_function=shutil.copyfile)
    cli.main(["pack"])
    assert raw() == before


@pytest.mark.usefixtures("here")
def test_pack_keeps_columns() -> None:
    """Further columns of labels.csv are packed into the archive of their images, unless it describes the archive."""
    put({"cat/1.png": png(1), "cat/[2].png": png(2), "dog/3.png": png(3), "dog/4.png": png(4)})
    labels = paths.RAW / "labels.csv"
    labels.write_text("path,label,weight,camera\ncat/1.png,cat,0.5,\ncat/[2].png,cat,2,x\n*/4.png,dog,3,\n")
    assert cli.main(["pack"]) == 0
    (archive,) = paths.RAW.glob("packed-*.zip")
    assert members(archive)["labels.csv"].decode() == (
        "path,label,camera,weight\ncat/1.png,cat,,0.5\ncat/[2].png,cat,x,2\n"
    )
    sources = {one.name.partition("!/")[2]: one for one in Holdings.read()}
    assert sorted(sources) == ["cat/1.png", "cat/[2].png", "dog/3.png", "dog/4.png"]
    labels.write_text("path,label,weight\n*dog/4.png,dog,3\n")
    put({"dog/4.png": png(5)})
    (paths.RAW / "dog/labels.csv").write_text("path,label,weight\n4.png,dog,7\n")
    assert cli.main(["pack"]) == 0
    (new,) = set(paths.RAW.glob("packed-*.zip")) - {archive}
    assert list(members(new)) == ["dog/4.png"]


def test_faults_are_one_line(here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is one line, and an interruption has its own exit status."""
    put({"cat/1.png": png(1)}, into=here / "photos")
    (here / "params.yaml").write_text("no: params\n")
    assert cli.main(["check", "photos"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.params.read_params", interrupt)
    assert cli.main(["check", "photos"]) == 130


def test_starts_fast() -> None:
    """Help imports no slow library."""
    code = "import sys; import pipeline.cli; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert not {"PIL", "pyarrow", "dvc", "torch", "numpy", "pydantic", "tqdm"} & set(out.split())


def test_interrupted_while_something_is_tidied_up() -> None:
    """^C is not lost if it arrives in a callback, for example of an import, whose exceptions Python ignores."""
    script = (
        "import signal, sys, time\n"
        "class Tidied:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
        "from pipeline import __main__, cli\n"
        "def command():\n"
        "    Tidied()\n"
        "    time.sleep(60)\n"
        "cli.main = command\n"
        "sys.exit(__main__.main())"
    )
    run = subprocess.run([sys.executable, "-c", script], check=False, stderr=subprocess.PIPE, text=True, timeout=200)
    assert (run.returncode, run.stderr) == (130, "pipeline: interrupted; no file is half-written\n")


def test_interrupted_while_importing() -> None:
    """^C before a command runs is also one line with exit status 130."""
    command = [sys.executable, "-X", "importtime", "-m", "pipeline", "status"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "pipeline.errors" in line:
                run.send_signal(signal.SIGINT)
                break
        said = [line for line in run.stderr if not line.startswith("import time:")]
    assert (run.returncode, said) == (130, ["pipeline: interrupted; no file is half-written\n"])


def test_quiet(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With --quiet only errors on stderr, requested data, and the exit status are output."""
    assert cli.main(["check", str(photos), "--quiet"]) == 1
    assert cli.main(["add", str(photos), "-q"]) == 0
    assert capfd.readouterr() == ("", "")
    assert cli.main(["add", "nowhere", "-q"]) == 1
    said = capfd.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert cli.main(["check", str(photos), "-q", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["refused"]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["check", "-q"])


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["sta"], ["status"]),
        (["predict", "--to"], ["--top"]),
        (["run", "ev"], ["evaluate"]),
        (["check", "pho"], ["photos"]),
    ],
)
def test_completion(photos: Path, capsys: Capture, typed: list[str], completed: list[str]) -> None:
    """A real bash completes commands, options, choices and files."""
    assert cli.main(["completion", "bash"]) == 0
    (photos.parent / "completion").write_text(capsys.readouterr().out)
    words = " ".join(["pipeline", *typed])
    ask = f"source ./completion; COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _shtab_pipeline; echo ${{COMPREPLY[@]}}"
    out = subprocess.run(["bash", "-c", ask], cwd=photos.parent, check=True, capture_output=True, text=True).stdout
    assert out.split() == completed


def test_the_code_of_the_project_runs(tmp_path: Path) -> None:
    """The project's own code runs, whatever is installed, as in `dvc repro`."""
    project = tmp_path / "project"
    shutil.copytree(ROOT / "pipeline", project / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    theirs = project / "pipeline/commands/status/command.py"
    theirs.write_text(theirs.read_text("utf-8").replace("show what `dvc repro` would do", "their own status"), "utf-8")
    script = tmp_path / "installed.py"
    script.write_text("import sys; from pipeline.__main__ import main; sys.exit(main())")
    for folder, own in ((project, True), (tmp_path, False)):
        command, env = [sys.executable, str(script), "status", "--help"], {**os.environ, "PYTHONPATH": str(ROOT)}
        out = subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True, text=True).stdout
        assert ("Their own status" in out) == own


@pytest.mark.slow
def test_repro_sees_what_was_done(project: Project) -> None:
    """With DVC, added images are ingested, packing changes no manifest, and removed images disappear."""

    def pipeline(*arguments: str) -> str:
        return project.run(sys.executable, "-m", "pipeline", *arguments).out

    project.add_digits(0, 40)
    project.dvc("add", "--quiet", "data/raw")
    project.repro("manifest")
    before = project.snapshot("data/manifest")
    source = project.root / "photos"
    project.add_digits(0, 60, into="../../photos")
    assert "added 20 images" in (out := pipeline("add", "photos"))
    assert "40 known already" in out
    assert out.endswith("next: dvc repro\n")
    assert "20 new, 0 removed, 0 refused; 20 decoded" in project.repro("manifest")
    grown = project.snapshot("data/manifest")
    assert grown != before
    assert "packed 40 images into 1 archive" in pipeline("pack")
    assert "nothing new: 60 known already" in pipeline("add", "photos")
    assert "60 images, 0 new, 0 removed, 0 refused" in project.repro("manifest")
    packed = project.snapshot("data/manifest")
    assert {name for name in grown if packed[name] != grown[name]} == {"data/manifest/review.csv"}  # It lists places.
    assert len(list((project.root / "data/raw").rglob("*.png"))) == 0
    names = [file for path in sorted(source.rglob("*.png"))[40:] for file in [md5(path.read_bytes())]]
    assert "removed 20 images from 20 places" in pipeline("remove", *names)
    assert "40 images, 0 new, 20 removed" in project.repro("manifest")
    assert ["all", "20", "40", "0", "8", "px"] in map(str.split, pipeline("check", "photos").splitlines())


def test_command_is_registered() -> None:
    """`pipeline` and `python -m pipeline` are the same program."""
    outs = [
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for command in (["pipeline", "--help"], [sys.executable, "-m", "pipeline", "--help"])
    ]
    assert outs[0] == outs[1]
    assert {"check", "add", "remove", "pack", "log"} <= {*re.findall(r"^  ([a-z]+)", outs[0], re.MULTILINE)}


def test_help_groups_commands_by_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists each command once, on its own line, under its purpose."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    shown = capsys.readouterr().out
    titles = re.findall(r"^(\w+):$", shown, re.MULTILINE)
    assert titles == [*cli.GROUPS, "shell", "options"]
    listed = re.findall(r"^  ([a-z][\w-]*) {2,}\S", shown, re.MULTILINE)
    assert len(listed) == len(set(listed)) > 15
    for name in listed:
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        assert capsys.readouterr().out.startswith(f"usage: pipeline {name} ")


def test_folders_inside_a_project_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder inside a project, the error says where to run the command."""
    for name in (paths.PIPELINE, paths.PARAMS):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "docs/deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "docs/deep")
    assert cli.main(["status"]) == 1
    assert capsys.readouterr().err.endswith("a folder inside the project; run `cd ../..`, then run this again\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predit", "a.png"], "there is no command predit; the nearest one is predict\n"),
        (["train"], "there is no command train; run `dvc repro`, or `pipeline run train` for that stage alone\n"),
        (["frobnicate"], "there is no command frobnicate; `pipeline --help` lists them\n"),
        (["check", "a", "--htlm=b"], "unrecognized arguments: --htlm=b; the nearest one to --htlm=b is --html\n"),
        (["status", "a"], "unrecognized arguments: a\n"),
    ],
)
def test_mistaken_command_line(arguments: list[str], said: str, capsys: Capture) -> None:
    """A wrong command line prints a one-line error below the command's usage, and exits with 2."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.endswith(said)
    assert err.startswith("usage: pipeline " + ("COMMAND" if "no command" in said else arguments[0]))


def test_no_command(capsys: Capture) -> None:
    """`pipeline` without arguments shows the commands."""
    with pytest.raises(SystemExit) as ended:
        cli.main([])
    assert ended.value.code == 2
    assert "classify images with a trained model" in capsys.readouterr().err


def test_outside_of_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """Outside of a project, the error says so, without mentioning Git."""
    monkeypatch.chdir(tmp_path)
    hint = "this is not a project: change to a project's folder, or create one with `pipeline init DIR`"
    for command in ("check", "predict"):
        assert cli.main([command, "photos"]) == 1
        assert capsys.readouterr().err == f"pipeline: error: params.yaml: no such file; {hint}\n"
