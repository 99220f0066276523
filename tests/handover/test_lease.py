"""Leases: the holder continues, others learn who it is, and leases of dead processes can be taken."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dvc_objects.fs.local import localfs

from pipeline.handover.lease import FRESH, Lease, Runner
from pipeline.handover.remote_folder import RemoteFolder

AWAY = Runner.here().model_copy(update={"host": "away", "machine": "another"})


@pytest.fixture
def folder(tmp_path: Path) -> RemoteFolder:
    """Return an empty folder."""
    return RemoteFolder(localfs, str(tmp_path))


def write(folder: RemoteFolder, holder: Runner, *, age: float = 0, name: str = "lease-0") -> None:
    """Write the lease of another process, `age` seconds old."""
    folder.write(name, holder.model_dump_json().encode())
    path = folder.url(name)
    os.utime(path, (time.time() - age,) * 2)


def test_first_has_it_and_renews_it(folder: RemoteFolder) -> None:
    """A second process learns the holder, and does not get the lease, even if the holder renews it."""
    first, second = Lease(folder), Lease(folder)
    for _ in range(3):
        assert first.claim() is None
        other = second.claim()
        assert other is not None
        assert other[1] == first.name
        assert str(other[0]) == str(Runner.here())
    first.give_up()
    assert second.claim() is None
    assert list(folder.times()) == [second.name]


def test_lease_of_another_machine(folder: RemoteFolder) -> None:
    """A fresh lease is respected; one that has not been renewed for long is taken over."""
    write(folder, AWAY, age=FRESH / 2)
    lease = Lease(folder)
    assert lease.claim() == (AWAY, "lease-0")
    write(folder, AWAY, age=FRESH * 2)
    assert lease.claim() is None
    assert list(folder.times()) == [lease.name]


@pytest.mark.parametrize("shift", [-7200, 7200])
def test_clocks_that_differ(folder: RemoteFolder, monkeypatch: pytest.MonkeyPatch, shift: float) -> None:
    """Only the store's clock matters."""
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + shift)
    write(folder, AWAY)
    os.utime(folder.url("lease-0"), (clock() - 1,) * 2)
    assert Lease(folder).claim() == (AWAY, "lease-0")


def test_store_without_a_clock(tmp_path: Path) -> None:
    """Without a store's clock the times in the leases are used."""

    class Timeless(RemoteFolder):
        def times(self) -> dict[str, float | None]:
            return dict.fromkeys(super().times())

    folder = Timeless(localfs, str(tmp_path))
    now = time.time()
    write(folder, AWAY.model_copy(update={"written": now - FRESH / 2}))
    lease = Lease(folder)
    other = lease.claim()
    assert other is not None
    assert other[1] == "lease-0"
    write(folder, AWAY.model_copy(update={"written": now - FRESH * 2}))
    assert lease.claim() is None


def test_lease_of_a_killed_process_here(folder: RemoteFolder) -> None:
    """A dead local process's lease is taken at once; another process with its id does not count."""
    script = (
        "from pipeline.handover.lease import Runner; "
        "print(Runner.here().model_dump_json(), flush=True); import time; time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        holder = Runner.model_validate_json(process.stdout.readline())
        lease = Lease(folder)
        write(folder, holder, age=1)
        assert lease.claim() == (holder, "lease-0")
        write(folder, holder.model_copy(update={"started": holder.started - 3600}), age=1)
        assert lease.claim() is None
        lease.give_up()
        write(folder, holder, age=1)
        lease = Lease(folder)
        assert lease.claim() is not None
        process.kill()
    assert lease.claim() is None


def test_lease_that_cannot_be_read(folder: RemoteFolder) -> None:
    """A partial lease counts as valid while it is fresh."""
    folder.write("lease-0", b'{"host": "aw')
    os.utime(folder.url("lease-0"), (time.time() - 1,) * 2)
    lease = Lease(folder)
    assert lease.claim() == (Runner(), "lease-0")
    os.utime(folder.url("lease-0"), (time.time() - 2 * FRESH,) * 2)
    assert lease.claim() is None


def test_machine_that_slept(folder: RemoteFolder) -> None:
    """A machine that slept notices that its lease was taken over."""
    slept, second = Lease(folder), Lease(folder)
    assert slept.claim() is None
    folder.delete(slept.name)
    assert second.claim() is None
    other = slept.claim()
    assert other is not None
    assert other[1] == second.name
    assert second.claim() is None


def test_lease_is_kept_in_the_background(folder: RemoteFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease is renewed in the background, reports when another process has it, and stops after `give_up`."""
    monkeypatch.setattr("pipeline.handover.lease.RENEWAL", 0.02)
    lease = Lease(folder)
    lease.claim()
    lease.keep()
    os.utime(folder.url(lease.name), (0, 0))
    wait_until(lambda: (folder.times().get(lease.name) or 0) > 0)
    assert not lease.is_lost
    write(folder, AWAY.model_copy(update={"since": 1.0}))
    wait_until(lambda: lease.is_lost)
    lease.give_up()
    wait_until(lambda: list(folder.times()) == ["lease-0"])
    time.sleep(0.1)
    assert list(folder.times()) == ["lease-0"]


def wait_until(condition: object, seconds: float = 20) -> None:
    """Wait until `condition` is true."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.01)
