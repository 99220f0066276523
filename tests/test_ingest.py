"""Ingest with any content of data/raw: real DVC, no training."""

import contextlib
import csv
import gzip
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Project
from PIL import Image

from pipeline import paths
from pipeline.ingestion.additions.new_images import _warn_of_full_disk


@pytest.fixture
def raw(project: Project) -> Path:
    """Return the empty data/raw of `project`."""
    project.set_params(ingest={"max_refused": 1.0})
    return project.root / "data/raw"


def refused(project: Project) -> dict[str, str]:
    """Return the reason for each refused source."""
    with (project.root / "data/images/refused.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


def elsewhere(project: Project) -> set[Path]:
    """Return all paths around the project and in it, but those of data, DVC, Git and Python."""
    ours = {"data", ".dvc", ".git", "__pycache__"}
    return {path for path in project.root.parent.rglob("*") if not ours & set(path.parts)}


def labels(project: Project) -> dict[str, str]:
    """Return the label of each image in the manifests, by id."""
    lines = [line for split in ("train", "val", "test") for line in project.read(f"data/manifest/{split}.csv").split()]
    return {line.split(",")[0]: line.split(",")[1] for line in lines if not line.startswith("id,")}


def list_raw(project: Project) -> None:
    """Run the stage before ingest."""
    if not (project.root / "data/raw.dvc").exists():
        project.add_raw()
    project.pipeline("run", "listing")


def ingest(project: Project, *, ok: bool = True) -> str:
    """List data/raw as `dvc repro` does, run ingest, and return the output."""
    list_raw(project)
    return project.pipeline("run", "ingest", ok=ok).out


def manifests(project: Project) -> dict[str, str]:
    """Run ingest and manifest, and return the manifests' text."""
    ingest(project)
    project.pipeline("run", "manifest")
    return {split: project.read(f"data/manifest/{split}.csv") for split in ("train", "val", "test")}


def test_refuses_each_unusable_file_once_and_takes_the_rest(project: Project, raw: Path) -> None:
    """Every usable image is taken, any other file is listed once with its reason, and nothing is written elsewhere."""
    good = project.add_digits(0, 20)
    png = good[0].read_bytes()
    odd = raw / "odd"
    odd.mkdir()
    (odd / "empty.png").touch()
    (odd / "truncated.png").write_bytes(png[: len(png) // 2])
    (odd / "page.jpg").write_text("<html>not found</html>")
    (odd / "a\rb.png").write_bytes(png[: len(png) // 3])
    (odd / "Icon\r").touch()  # Created by macOS.
    good[2].rename(good[2].with_name("c\rd.png"))
    (raw / "outside.png").write_bytes(good[1].read_bytes() + b"another")
    (raw / ".DS_Store").write_text("left behind")
    with zipfile.ZipFile(raw / "tricks.zip", "w") as archive:
        archive.writestr("odd/../../escaped.png", png + b"1")
        archive.writestr("odd/inner.zip", b"PK")
        archive.writestr("odd/fine.png", png + b"2")
    with tarfile.open(raw / "links.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("odd/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (raw / "broken.zip").write_bytes(b"PK\x03\x04 and no more")
    before = elsewhere(project)
    assert "21 images, 21 new, 0 removed, 11 refused" in ingest(project)
    assert refused(project) == {
        ".DS_Store": "system file",
        "broken.zip": "broken archive",
        "links.tar.gz!/odd/link.png": "not a file",
        "odd/Icon\r": "system file",
        "odd/a\rb.png": "truncated",
        "odd/empty.png": "empty",
        "odd/page.jpg": "not an image",
        "odd/truncated.png": "truncated",
        "outside.png": "no class folder",
        "tricks.zip!/odd/../../escaped.png": "unsafe name",
        "tricks.zip!/odd/inner.zip": "nested archive",
    }
    assert elsewhere(project) == before
    assert "21 images, 0 new, 0 removed, 11 refused (data/images/refused.csv); 0 decoded" in ingest(project)


def test_many_removed_images_stop_the_stage(project: Project, raw: Path) -> None:
    """If too many images are removed, ingest stops until a user confirms the removal."""
    project.set_params(ingest={"max_removed": 0.2})
    files = project.add_digits(0, 20)
    ingest(project)
    for path in files[:4]:
        path.unlink()
    assert "16 images, 0 new, 4 removed" in ingest(project)
    before = project.snapshot("data/images", "data/shards")
    for path in files[4:8]:
        path.unlink()
    out = ingest(project, ok=False)
    assert "4 of the 16 images that it held at the last run are gone" in out
    assert "more than ingest.max_removed (0.2) allows" in out
    assert "run `pipeline sync --restore`; if they were removed on purpose, `pipeline sync --keep`" in out
    assert project.snapshot("data/images", "data/shards") == before
    assert "data/raw is kept" in project.pipeline("sync", "--keep").out
    assert "12 images, 0 new, 4 removed" in ingest(project)
    project.pipeline("remove", *(f"{path.relative_to(raw)}" for path in files[8:12]))
    assert "8 images, 0 new, 4 removed" in ingest(project)
    files[12].unlink()
    files[13].unlink()
    assert "pipeline sync --keep" in ingest(project, ok=False)  # A confirmation holds for one removal.


def test_max_refused_stops_the_stage(project: Project, raw: Path) -> None:
    """If too many files are refused, ingest stops, and the error names one of them and the param."""
    project.set_params(ingest={"max_refused": 0.1})
    project.add_digits(0, 8)
    for number in range(2):
        (raw / "digit 0" / f"{number}.png").write_text(f"no image {number}")
    list_raw(project)
    out = project.pipeline("run", "ingest", ok=False).out
    assert "2 of 10 images are refused" in out
    assert "ingest.max_refused" in out
    assert not (project.root / "data/images").exists()


def test_labels_csv_overrides_folders(project: Project, raw: Path) -> None:
    """labels.csv sets classes by path or glob, paths have precedence, and lines without a match are reported."""
    paths = project.add_digits(0, 30)
    names = [path.relative_to(raw).as_posix() for path in paths]
    (raw / "loose.png").write_bytes(paths[0].read_bytes() + b"another")
    (raw / "labels.csv").write_text(
        f'path,label\n"digit 1/*",one\n{names[1]},"a, b"\nloose.png,loose\nno such.png,typo\n', encoding="utf-8-sig"
    )
    out = ingest(project)
    assert "1 line of labels.csv matching no image, such as 'no such.png'" in out
    project.pipeline("run", "manifest")
    found = set(labels(project).values())
    assert {"one", "loose"} <= found
    assert "digit 1" not in found


def archive_of(path: Path, images: dict[str, bytes]) -> None:
    """Return a zip archive of `images`, by name."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in images.items():
            archive.writestr(name, data)


def classes(project: Project) -> set[str]:
    """Return the classes in the index."""
    return set(pq.read_table(project.root / "data/images/index.parquet", columns=["label"])["label"].to_pylist())


def test_a_wrapper_is_refused_until_it_is_clear(project: Project, raw: Path) -> None:
    """`My Dataset/cat/1.png` never becomes the class `My Dataset` silently; a param states what is meant."""
    digits = [path.read_bytes() for path in project.add_digits(0, 20)]
    folders = [f"My Dataset/{'cat' if number % 2 else 'dog'}" for number in range(20)]
    archive_of(raw / "photos.zip", {f"{folders[n]}/{n}.png": data + b"x" for n, data in enumerate(digits)})
    out = ingest(project)
    assert "20 images, 20 new, 0 removed, 20 refused" in out
    assert "ingest: warning: 20 images refused: all images of photos.zip lie in 'My Dataset'" in out
    assert set(refused(project).values()) == {"ambiguous class"}
    project.set_params(ingest={"strip": {"photos.zip": 1}})
    assert "40 images, 20 new, 0 removed, 0 refused" in ingest(project)
    assert {"cat", "dog"} <= classes(project)
    project.set_params(ingest={"strip": {"photos.zip": 0}})
    assert "40 images, 0 new, 0 removed, 0 refused; 0 decoded" in ingest(project)
    assert "My Dataset" in classes(project)
    project.set_params(ingest={"strip": {}})
    assert "0 refused; 0 decoded" in ingest(project)  # A known class is not questioned.


def test_archives_are_listed_again_where_they_are_listed_better(project: Project, raw: Path) -> None:
    """Archives listed by an older version are listed again: classes are as from scratch, and nothing is decoded."""
    digits = [path.read_bytes() for path in project.add_digits(0, 20)]
    archive_of(raw / "more.zip", {f"cafee/{number}.png": data + b"x" for number, data in enumerate(digits)})
    (raw / "more.zip").write_bytes((raw / "more.zip").read_bytes().replace(b"cafee", "café".encode()))
    ingest(project)
    assert "café" in classes(project)
    fresh, listing = project.snapshot("data/images", "data/shards"), project.root / "data/images/members.parquet"
    table = pq.read_table(listing)
    wrong = table.set_column(2, "member", [[name.replace("é", "├⌐") for name in table["member"].to_pylist()]])
    pq.write_table(wrong.replace_schema_metadata({}), listing)
    assert "40 images, 0 new, 0 removed, 0 refused; 0 decoded" in ingest(project)
    assert project.snapshot("data/images", "data/shards") == fresh


def test_odd_archives_and_labels(project: Project, raw: Path) -> None:
    """Unusual archives and labels are read to the end, reported, or refused by name."""
    digits = [path.read_bytes() + b"x" for path in project.add_digits(0, 20)]
    for name in ("one.tar", "other.tar"):
        with tarfile.open(raw / name, "w") as archive:
            for number in range(3):
                info = tarfile.TarInfo(f"digit 0/{name}-{number}.png")
                data = digits[number] + name.encode()
                info.size = len(data)
                archive.addfile(info, BytesIO(data))
    (raw / "one.tar").write_bytes((raw / "one.tar").read_bytes() + (raw / "other.tar").read_bytes())
    (raw / "other.tar").unlink()
    archive_of(raw / "names.zip", {"cafee/1.png": digits[0], "caf1/2.png": digits[1], "DIGIT 0\u00a0/3.png": digits[2]})
    data = (raw / "names.zip").read_bytes().replace(b"cafee", "caf\u00e9".encode()).replace(b"caf1", b"caf\x82")
    (raw / "names.zip").write_bytes(data)
    (raw / "more.rar").write_bytes(b"Rar!\x1a\x07\1\0")
    (raw / "labels.csv").write_text('path,label\nnames.zip!/*/3.png,"digit 0"\n"names.zip!/DIGIT*",DIGIT 0\n')
    out = ingest(project)
    assert "29 images, 29 new, 0 removed, 1 refused" in out
    assert refused(project) == {"more.rar": "unsupported archive"}
    assert {"caf\u00e9", "DIGIT 0", "digit 0"} <= classes(project)
    assert "names.zip: the name of class 'caf\u00e9' is in an encoding that the zip does not name" in out
    assert "labels.csv: lines 2 and 3 give names.zip!/DIGIT 0\u00a0/3.png different labels" in out
    assert "classes 'DIGIT 0' (1 image) and 'digit 0' (" in out


def attributes(project: Project) -> dict[str, str]:
    """Return the index's attributes of each source, if there are any."""
    table = pq.read_table(project.root / "data/images/index.parquet", columns=["source", "attributes"]).to_pylist()
    return {row["source"]: row["attributes"] for row in table if row["attributes"]}


def test_further_columns_of_labels_csv(project: Project, raw: Path) -> None:
    """Further columns of labels.csv are stored, but no empty cells; of copies the first place with values counts."""
    paths = project.add_digits(0, 20)
    names = [path.relative_to(raw).as_posix() for path in paths]
    for copy, of in (("-.png", 0), ("zz.png", 1)):
        shutil.copy(paths[of], paths[of].with_name(copy))
    folders = [path.parent.relative_to(raw).as_posix() for path in paths]
    lines = [(names[0], folders[0], "x"), (f"{folders[1]}/zz.png", folders[1], "y"), (names[2], folders[2], "")]
    (raw / "labels.csv").write_text("path,label,camera\n" + "".join(f"{','.join(line)}\n" for line in lines))
    assert "20 images, 20 new" in ingest(project)
    assert attributes(project) == {f"{folders[0]}/-.png": '{"camera": "x"}', names[1]: '{"camera": "y"}'}
    before = project.snapshot("data/images", "data/shards")
    assert "0 new, 0 removed, 0 refused; 0 decoded" in ingest(project)
    assert project.snapshot("data/images", "data/shards") == before
    (raw / "labels.csv").write_text(f"path,label,site\n{names[3]},{folders[3]},Ö\n", "utf-8")
    assert "0 new, 0 removed, 0 refused; 0 decoded" in ingest(project)
    assert attributes(project) == {names[3]: '{"site": "Ö"}'}


@pytest.mark.parametrize("text", [b"path,label,id\na,b,1\n", b"path,label,x\na,b,\xff\n", b"path,label,x,x\na,b,1,2\n"])
def test_labels_csv_that_cannot_be_used(project: Project, raw: Path, text: bytes) -> None:
    """An unusable labels.csv is a one-line error, and data/images does not change."""
    project.add_digits(0, 20)
    ingest(project)
    before = project.snapshot("data/images", "data/shards")
    (raw / "labels.csv").write_bytes(text)
    list_raw(project)
    out = project.pipeline("run", "ingest", ok=False).out
    assert out.startswith("ingest: error: data/raw/labels.csv: ")
    assert len(out.splitlines()) == 1
    assert project.snapshot("data/images", "data/shards") == before


def test_one_image_in_two_classes_is_refused_in_both(project: Project, raw: Path) -> None:
    """An image in two classes is refused in both until the label is clear, and is not decoded repeatedly."""
    first, *_ = project.add_digits(0, 20)
    other = raw / "digit 9" / "same.png"
    shutil.copy(first, other)
    assert "19 images, 19 new, 0 removed, 2 refused" in ingest(project)
    assert list(refused(project).values()) == ["two labels", "two labels"]
    assert "0 decoded" in ingest(project)
    other.unlink()
    assert "20 images, 1 new, 0 removed, 0 refused" in ingest(project)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))])
def test_any_history_ends_where_a_fresh_start_does(project: Project, raw: Path, seed: int) -> None:
    """After random additions, removals, renames, new labels and archives, the manifests equal those from scratch."""
    chance = random.Random(seed)
    project.add_digits(900, 960)
    for step in range(4):
        project.add_digits(20 * step, 20 * step + 10)
        for path in chance.sample(sorted(raw.rglob("*.png")), 6):
            path.unlink()
        for path in chance.sample(sorted(raw.rglob("*.png")), 6):
            path.rename(path.with_name(f"{step}-{path.name}"))
        for path in chance.sample(sorted(raw.rglob("*.png")), 3):
            path.rename(raw / f"digit {chance.randrange(10)}" / f"{step}-{path.name}")
        with zipfile.ZipFile(raw / f"{step}.zip", "w") as archive:
            for path in chance.sample(sorted(raw.rglob("*.png")), 6):
                archive.write(path, path.relative_to(raw))
                if chance.random() < 0.5:
                    path.unlink()
        if chance.random() < 0.3:
            chance.choice(sorted(raw.glob("*.zip"))).unlink()
        grown = manifests(project)
    shutil.rmtree(project.root / "data/images")
    assert manifests(project) == grown


@pytest.mark.slow
def test_killed_again_and_again_it_comes_to_the_same(project: Project, raw: Path) -> None:
    """After forty kills at random moments the manifests equal those without kills, and no work was repeated."""
    with zipfile.ZipFile(ROOT / "data/sample/2-more.zip") as archive:
        archive.extractall(raw)
    undisturbed = manifests(project)
    shutil.rmtree(project.root / "data/images")
    chance = random.Random(0)
    longest = 1.0
    for _ in range(40):
        started = time.monotonic()
        process = subprocess.Popen(
            ["python", "-m", "pipeline", "run", "ingest"],
            cwd=project.root,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            process.wait(chance.uniform(0.3, longest))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            longest = min(longest * 1.05, 4.0)
        else:
            longest = max(time.monotonic() - started, 1.0)
            if chance.random() < 0.5:
                shutil.rmtree(project.root / "data/images")
    assert manifests(project) == undisturbed


def test_a_kill_loses_no_finished_work(project: Project, raw: Path) -> None:
    """Images decoded before a kill -9 are not decoded again."""
    with zipfile.ZipFile(ROOT / "data/sample/2-more.zip") as archive:
        archive.extractall(raw)
    list_raw(project)
    journal = project.root / "data/.progress/ingest"
    process = subprocess.Popen(
        ["python", "-m", "pipeline", "run", "ingest"],
        cwd=project.root,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None and sum(len(path.read_bytes()) for path in journal.rglob("journal.jsonl")) < 100_000:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = sum(path.read_text().count("}") for path in journal.rglob("journal.jsonl"))
    assert 0 < done < 3000
    out = project.pipeline("run", "ingest").out
    decoded = int(out.rsplit("; ", 1)[1].split()[0].replace(",", ""))
    assert decoded <= 3000 - done + 1
    assert "3,000 images, 3,000 new" in out


def test_images_before_the_damage_in_a_tar_are_in(project: Project, raw: Path) -> None:
    """All images before the damage in a tar are taken, and the loss has its own line; nothing is read again."""
    project.add_digits(0, 20)
    digits = sorted(path for path in raw.rglob("*.png"))
    with tarfile.open(raw / "cut.tar", "w") as archive:
        for number, path in enumerate(digits):
            info = tarfile.TarInfo(f"cat/{number}.png")
            data = path.read_bytes() + bytes([number])  # Changes the id.
            info.size = len(data)
            archive.addfile(info, BytesIO(data))
    (raw / "cut.tar").write_bytes((raw / "cut.tar").read_bytes()[: 1024 * 13])
    assert "33 images, 33 new, 0 removed, 1 refused" in ingest(project)
    assert refused(project) == {"cut.tar": "broken archive"}
    assert "33 images, 0 new, 0 removed, 1 refused (data/images/refused.csv); 0 decoded" in ingest(project)


def test_links_to_folders_are_listed(project: Project, raw: Path, tmp_path: Path) -> None:
    """Links to folders, which DVC ignores silently, are listed by ingest."""
    project.add_digits(0, 20)
    (tmp_path / "outside").mkdir()
    (raw / "link").symlink_to(tmp_path / "outside")
    assert "20 images, 20 new, 0 removed, 1 refused" in ingest(project)
    assert refused(project) == {"link": "link"}


def test_nothing_slow_is_imported(project: Project) -> None:
    """Pandas, whose import takes longer than an ingest without new images, is not imported."""
    project.add_digits(0, 20)
    list_raw(project)
    for told, slow in (("20 new", {"pandas", "torch"}), ("0 new", {"pandas", "torch", "loky"})):
        script = (
            "import sys; from pipeline.ingest import ingest; from pipeline.params import read_params; "
            f"print(ingest(read_params()).summary); assert not {slow} & set(sys.modules)"
        )
        assert f"20 images, {told}, 0 removed, 0 refused" in project.run("python", "-c", script).out


def large_image(path: Path, mode: str, **options: Any) -> None:
    """Save an image of 48 megapixels with visible content."""
    grey = (np.add.outer(np.arange(6144), np.arange(8192)) % 251).astype(np.uint8)
    Image.merge(mode, [Image.fromarray(grey)] * len(mode)).save(path, **options)


@pytest.mark.slow
def test_whatever_comes_memory_stays_bounded(project: Project, raw: Path) -> None:
    """Large pictures in the costliest formats, a long animation, and archive bombs: all processes stay below 1 GB."""
    project.add_digits(0, 20)
    (raw / "big").mkdir()
    pictures: list[tuple[str, str, dict[str, Any]]] = [
        ("png", "RGBA", {"compress_level": 1}),
        ("webp", "RGBA", {"lossless": True, "method": 0}),
        ("jp2", "RGB", {}),
        ("tif", "RGBA", {"compression": "tiff_lzw"}),
        ("jpg", "RGB", {"progressive": True}),
        ("avif", "RGB", {"speed": 10}),
    ]
    for kind, mode, options in pictures:
        large_image(raw / f"big/0.{kind}", mode, **options)
        (raw / f"big/1.{kind}").write_bytes((raw / f"big/0.{kind}").read_bytes() + b"\0")  # Another id.
    with (raw / "big/film.mp4").open("wb") as film:
        film.truncate(2 * 2**30)
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2**30
    with gzip.open(raw / "long.tar.gz", "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        for _ in range(2**10):
            file.write(b"a" * 2**20)
    with zipfile.ZipFile(raw / "many.zip", "w") as archive:
        for number in range(200_000):
            archive.writestr(f"cat/{number}.png", b"")
    list_raw(project)
    peak = 0
    with psutil.Popen([sys.executable, "-m", "pipeline", "run", "ingest"], cwd=project.root) as stage:
        while stage.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, sum(one.memory_info().rss for one in [stage, *stage.children(recursive=True)]))
            time.sleep(0.02)
    assert stage.returncode == 0
    assert peak < 10**9
    reasons = refused(project)
    assert reasons["big/film.mp4"] == "too large"
    assert reasons["long.tar.gz"] == "archive bomb"
    assert {"big/0.png", "big/0.jpg", "big/0.avif"} & set(reasons) == set()


def test_warning_of_a_full_disk(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A warning estimates the space for new images if it exceeds the free space; the first run has no estimate."""
    monkeypatch.chdir(tmp_path)
    paths.DATA.mkdir()
    lengths = pa.chunked_array([[2**20, 3 * 2**20]])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100 * 2**20))
    _warn_of_full_disk(50, lengths)
    _warn_of_full_disk(10**6, pa.chunked_array([[]], pa.int32()))
    assert not capsys.readouterr().out
    _warn_of_full_disk(51, lengths)
    said = "about 102 MiB for 51 images, and 100 MiB are free"
    assert capsys.readouterr().out == f"ingest: warning: the disk may become full: {said}\n"
