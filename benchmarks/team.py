"""The time of interactive commands, next to DVC's own: `python benchmarks/team.py [NAME…]`.

Names:
- log: 1,000 commits that record a training;
- status: the sample images, with nothing new, with one new image, and with 600 new images in a zip.
"""

import shutil
import statistics
import subprocess
import zipfile
from pathlib import Path

from reporting import Benchmark, Row, Rows, Scale, main, spread
from scratch import new_project, run, timed

from pipeline import paths
from pipeline.lineage.lineage import RECORDED, Budget, Epochs, ImageCounts, Recorded


def log(folder: Path, scale: Scale) -> Rows:
    """Measure `pipeline log` on a long history."""
    project, count = new_project(folder / "project"), scale.count(1000)
    stream = ["reset refs/heads/long"]
    counts, budget = ImageCounts(total=1, new=1, removed=0, relabelled=0), Budget(run=1, total=1)
    facts = {"start": "warm", "reason": "", "images": counts, "epochs": Epochs(run=1, total=1), "steps": budget}
    for number in range(1, count + 1):
        recorded = Recorded.model_validate(
            {"generation": number, "base": f"{number - 1}", "model": str(number), **facts}
        )
        stream.append(f"commit refs/heads/long\ncommitter A <a@b> {number} +0000\ndata 1\nx")
        for path, text in ((RECORDED, recorded.model_dump_json()), (paths.METRICS, '{"accuracy": 0.5}')):
            stream.append(f"M 644 inline {path}\ndata {len(text)}\n{text}")
    stream.append("")
    command = ["git", "fast-import", "--quiet", "--force"]
    subprocess.run(command, cwd=project, input="\n".join(stream), text=True, check=True)
    seconds = [timed(project, "python", "-m", "pipeline", "log", "long") for _ in range(scale.rounds(7))]
    yield Row(f"`pipeline log` on {count:,} commits that record a training", spread(seconds, "s"))


def status(folder: Path, scale: Scale) -> Rows:
    """Measure the time of `pipeline status` beyond that of `dvc status`."""
    project = new_project(folder / "project")
    shutil.copy(project / "data/sample/2-more.zip", project / "data/raw")
    run(project, "dvc", "add", "--quiet", "data/raw")
    run(project, "dvc", "repro")
    yield _beyond(project, "nothing new", scale)
    with zipfile.ZipFile(project / "data/sample/3-new-classes.zip") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".png"))
        archive.extract(name, project / "data/raw")
    yield _beyond(project, "one new image", scale)
    (project / "data/raw" / name).unlink()
    shutil.copy(project / "data/sample/3-new-classes.zip", project / "data/raw")
    yield _beyond(project, "600 new images in a zip", scale)


def _beyond(project: Path, what: str, scale: Scale) -> Row:
    theirs, beyond = [], []
    for _ in range(scale.rounds(7)):
        theirs.append(timed(project, "dvc", "status"))
        beyond.append(timed(project, "python", "-m", "pipeline", "status") - theirs[-1])
    return Row(
        f"`pipeline status` with {what}, beyond `dvc status`",
        f"{spread(beyond, 's')}; that alone {statistics.median(theirs):.2f} s",
    )


BENCHMARKS: dict[str, Benchmark] = {"log": log, "status": status}

if __name__ == "__main__":
    main(__doc__, BENCHMARKS)
