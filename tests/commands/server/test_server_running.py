"""`pipeline serve` over HTTP gives the answers of `pipeline predict` for any request, and ends cleanly."""

import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from PIL import Image
from support.drawn import CLASSES, save_drawn, set_params
from support.kinds import noise, put_kinds
from support.serving import Served
from support.terminal import Terminal

from pipeline import cli, paths
from pipeline.commands.server import running
from pipeline.ingestion.decoding import LOCK
from pipeline.lineage.lineage import read_lineage
from pipeline.locking import locked
from pipeline.versioning import hashing

Capture = pytest.CaptureFixture[str]
MIB = 2**20


def make(folder: Path) -> None:
    """Make a project with a model in the working directory; batches of one image."""
    set_params(compute={"batch_size": 1})
    (folder / paths.PIPELINE).write_text("stages: {}\n")
    save_drawn(paths.MODEL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Start a server with a limit of 1 MiB, in a project with images of all kinds."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make(folder)
        put_kinds(folder / "photos")
        with Served(folder, "--limit", "1") as server:
            yield server


def png(image: Image.Image) -> bytes:
    """Return `image` as a PNG file."""
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_answers_are_those_of_predict(served: Served, capsys: Capture) -> None:
    """The bytes of a file get bit for bit the answer of `pipeline predict`, and the model's hash."""
    assert cli.main(["predict", "--json", "--top", "9", "photos"]) == 0
    for wanted in json.loads(capsys.readouterr().out):
        answer = served.post(Path(wanted["file"]).read_bytes())
        assert answer.status_code == 200
        assert answer.json()["images"] == [{**wanted, "file": None}]
    lineage = read_lineage(paths.MODEL)
    assert answer.json()["model"] == {
        "hash": hashing.directory_hash(paths.MODEL),
        "generation": lineage.generation,
        "start": "cold",
        "base": None,
        "images": 2,
    }


def test_forms(served: Served) -> None:
    """Several files of a form are answered in order, by name; an unusable file states why, and affects no other."""
    files = [
        ("image", ('ä "b".png', png(noise(0)))),
        ("x", ("notes.txt", b"no image")),
        ("x", ("c.png", png(noise(1)))),
    ]
    answer = served.post(files=files, path="/predict?top=1")
    assert answer.status_code == 200
    first, second, third = answer.json()["images"]
    assert first["file"].startswith("ä ")
    assert second == {"file": "notes.txt", "refused": "not an image", "detail": "in no format that is known"}
    for told in (first, third):
        assert [guess["class"] for guess in told["top"]] == [told["class"]]
        assert told["class"] in CLASSES
    alone = served.post(b"no image")
    assert alone.status_code == 422
    assert alone.json()["images"][0]["refused"] == "not an image"


def test_what_is_too_much(served: Served) -> None:
    """A request with too many bytes, declared or not, too many files, or too large an image is refused."""
    (big,) = [bytes(2 * MIB)]
    said = {"error": "the request is larger than 1 MiB; send fewer or smaller images"}
    for answer in (served.post(big), served.post(iter([big])), served.post(files={"image": ("a.png", big)})):
        assert (answer.status_code, answer.json()) == (413, said)
    many = served.post(files=[("image", (f"{number}.png", b"x")) for number in range(65)])
    assert (many.status_code, many.json()["error"][:15]) == (400, "Too many files.")
    bomb = png(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < MIB
    answer = served.post(bomb)
    assert (answer.status_code, answer.json()["images"][0]["refused"]) == (422, "too large")


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({}, 400, "no image: send its bytes as the body"),
        ({"files": {"image": ("", b"")}}, 400, "no image"),
        ({"data": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "Missing boundary"),
        ({"data": b"x", "path": "/predict?top=0"}, 400, "top is '0', not a whole number of at least 1"),
        ({"data": b"x", "path": "/predict/../data/model"}, 404, "Not Found"),
        ({"data": b"x", "path": "/"}, 405, "Method Not Allowed"),
        ({"data": b"x", "headers": {"Host": "rebound.example"}}, 403, "asked for by a name that is not this machine's"),
        ({"data": b"x", "headers": {"Origin": "http://other.example"}}, 403, "asked by a page of another site"),
        ({"data": b"x", "headers": {"Origin": "null"}}, 403, "asked by a page of another site"),
    ],
)
def test_what_cannot_be_asked(served: Served, sent: dict[str, Any], status: int, said: str) -> None:
    """An invalid request gets a status and a one-line error as JSON."""
    answer = served.post(**sent)
    assert answer.status_code == status
    assert answer.json()["error"].startswith(said)


def test_no_path_escapes(served: Served) -> None:
    """No file of the project or the machine can be read by any path."""
    for path in (
        "/params.yaml",
        "/data/model/lineage.json",
        "/..%2fparams.yaml",
        "/%2e%2e/params.yaml",
        "//etc/passwd",
    ):
        answer = served.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:  # HTTP libraries would normalise the path.
        raw.sendall(b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert raw.makefile("rb").readline() == b"HTTP/1.1 404 Not Found\r\n"


def test_health_and_page(served: Served) -> None:
    """Both name the model; responses may not be cached, or shown in another site's frame."""
    health = served.get("/health")
    about = health.json()
    assert (about["status"], about["waiting"]) == ("ok", None)
    assert about["model"]["classes"] == list(CLASSES)
    assert about["model"]["lineage"] == read_lineage(paths.MODEL).model_dump(mode="json")
    page = served.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert about["model"]["hash"][:8] in page.text
    assert f"{served.url}/predict" in page.text
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", page.text)
    for answer in (health, page, served.get("/none")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert "server" not in answer.headers


@pytest.mark.slow
def test_image_that_kills_its_decoder(served: Served) -> None:
    """An image that kills its decoder is refused; the server and later requests are not affected."""
    # A large image waits for the lock that this test holds.
    large = png(Image.new("RGB", (6000, 6000)))
    with ThreadPoolExecutor() as pool, locked(Path("temporary", LOCK.name)):
        asked = pool.submit(served.post, large)
        while not asked.done():
            for process in served.decoders():
                process.kill()
            time.sleep(0.1)
    assert asked.result().status_code == 422
    assert asked.result().json()["images"][0]["detail"] == "decoding it kills the decoder"
    assert served.post(png(noise(0))).ok
    for process in served.decoders():
        process.kill()
        process.wait(60)
    assert served.post(png(noise(0))).ok


def test_port_in_use(served: Served, capsys: Capture) -> None:
    """A port in use is a one-line error before anything is loaded."""
    port = served.url.rpartition(":")[2]
    assert cli.main(["serve", "--port", port]) == 1
    out, err = capsys.readouterr()
    said = (
        f"pipeline: error: 127.0.0.1:{port}: cannot listen there: Address already in use; stop what listens there, or "
    )
    assert out == ""
    assert err == f"{said}choose another by --port; 0 takes one that is free\n"
    assert cli.main(["serve", "--port", "0", "--host", "no.such.host.invalid"]) == 1
    assert capsys.readouterr().err.startswith("pipeline: error: no.such.host.invalid:0: cannot listen there: ")
    with pytest.raises(SystemExit):
        cli.main(["serve", "--port", "65536"])
    assert "'65536' is not a number from 0 to 65535" in capsys.readouterr().err


@pytest.mark.parametrize("name", running.MODULES)
def test_missing_package(capsys: Capture, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A missing package of the extra is a one-line error with the command to install it."""
    monkeypatch.setitem(sys.modules, name, None)
    assert cli.main(["serve"]) == 1
    said = f"the package {name} is not installed; run `pip install starlette uvicorn python-multipart`\n"
    assert capsys.readouterr().err == f"pipeline: error: pipeline serve: {said}"


@pytest.mark.slow
def test_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """^C ends the server and all its processes with one line."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    noise(0).save("a.png")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with Terminal() as terminal:
        process = terminal.start(sys.executable, "-m", "pipeline", "serve", "--port", "0", folder=tmp_path)
        terminal.wait_for("^C ends it")
        server = Served(tmp_path)
        server.process = process
        server.url = terminal.lines[0].partition(" on ")[2].partition(";")[0]
        assert server.post(Path("a.png").read_bytes()).ok
        decoders = server.decoders()
        assert decoders
        os.killpg(process.pid, signal.SIGINT)  # The terminal sends ^C to the whole group.
        assert process.wait(60) == 128 + signal.SIGINT
        assert terminal.lines[1:] == ["pipeline: ended"]
        assert not [decoder for decoder in decoders if decoder.is_running()]
