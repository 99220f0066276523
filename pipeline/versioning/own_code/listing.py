"""Lists the files of a project's own code in dvc.yaml, in the deps of the stages that run it; each line has a mark.

Only such lines are added and removed. All other lines keep every byte, so that Git can merge a newer release.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import write_text
from pipeline.params import Params
from pipeline.text import counted
from pipeline.versioning.lock import checkout_hint, read_yaml
from pipeline.versioning.own_code.closure import RELEASE, closure

MARK = "# Own code: `pipeline setup` keeps this line."
# The stages that run a project's own code, with the params that name it.
STAGES = {"train": ("train.model", "train.optimizer", "train.loss", "train.augment"), "evaluate": ("train.model",)}
Files = dict[str, list[str]]


class CodeListing(NamedTuple):
    """How dvc.yaml lists the project's own code."""

    text: str
    """The content that dvc.yaml should have."""
    added: dict[str, str]
    """The files that it does not list yet, each with a param that uses it."""
    removed: list[str]
    """The files that it lists but no param uses."""

    def __bool__(self) -> bool:
        """Whether dvc.yaml has to be changed."""
        return bool(self.added or self.removed)

    def __str__(self) -> str:
        said = []
        if self.added:
            path = min(self.added, key=lambda path: (path.endswith("__init__.py"), path))
            said.append(f"lists {path}, which {self.added[path]} uses{_and_more(len(self.added) - 1)}")
        if self.removed:
            said.append(f"does not list {self.removed[-1]}, which nothing uses{_and_more(len(self.removed) - 1)}")
        return " and ".join(said)


def look_at_listing(params: Params) -> CodeListing:
    """Compare the files that dvc.yaml lists with those that it has to list for `params`.

    Raises:
        ParamError: a file of the code does not exist, or is not Python.
        RecordError: dvc.yaml does not have Treering's form.
    """
    text = paths.PIPELINE.read_text(encoding="utf-8") if paths.PIPELINE.exists() else ""
    own = params.train.own
    if not own and MARK not in text:
        return CodeListing(text, {}, [])
    files = {name: closure(value) for name, value in own.items()}
    kept = "".join(line for line in text.splitlines(keepends=True) if MARK not in line)
    wanted = {
        stage: sorted({path for name in names for path in files.get(name, [])}) for stage, names in STAGES.items()
    }
    before, by_hand = _listed(paths.PIPELINE), _listed(kept)
    for stage, listed in wanted.items():
        kept = _with_lines(kept, stage, [path for path in listed if path not in by_hand[stage]])
    users = {path: name for name, listed in reversed(files.items()) for path in listed}
    added = {path: users[path] for stage in STAGES for path in wanted[stage] if path not in before[stage]}
    gone = (path for stage in STAGES for path in before[stage] if path not in {*wanted[stage], *by_hand[stage]})
    return CodeListing(kept, added, list(dict.fromkeys(gone)))


def bring_in_step(params: Params) -> CodeListing:
    """Make dvc.yaml list exactly the files of the project's own code; return what has changed.

    Raises:
        ParamError: a file of the code does not exist, or is not Python.
        RecordError: dvc.yaml does not have Treering's form.
    """
    listing = look_at_listing(params)
    if listing:
        write_text(paths.PIPELINE, listing.text)
    return listing


def check_in_step(params: Params) -> None:
    """Update dvc.yaml like `bring_in_step`, inside a stage: DVC has already read dvc.yaml, and must read it again.

    Raises:
        RecordError: dvc.yaml had to be changed.
        ParamError: a file of the code does not exist, or is not Python.
    """
    if listing := bring_in_step(params):
        raise RecordError(paths.PIPELINE, f"now {listing}", "run `dvc repro` again")


def listed_by_hand() -> list[str]:
    """Return the unmarked deps of `train` that people added, since their own code reads them."""
    if not paths.PIPELINE.exists():
        return []
    text = paths.PIPELINE.read_text(encoding="utf-8")
    kept = "".join(line for line in text.splitlines(keepends=True) if MARK not in line)
    ours = (f"{RELEASE}/", *(f"{folder}/" for folder in (paths.MANIFEST, paths.WEIGHTS)))
    listed = _listed(kept)["train"]
    return [path for path in listed if not path.startswith(ours) and path != paths.BASE.as_posix()]


def _and_more(files: int) -> str:
    return f", and {counted(files, 'more file')}" if files else ""


def _with_lines(text: str, stage: str, files: Iterable[str]) -> str:
    """Return `text` with `files` added to the deps of `stage`, before the release's code."""
    place = re.search(rf"^  {stage}:\n(?:(?!^  \S).*\n)*?(?P<indent> +)- (?=pipeline/)", text, flags=re.MULTILINE)
    if place is None:
        what = f"the stage {stage} lists no code of the release among its deps"
        raise RecordError(paths.PIPELINE, what, f"run `git checkout {paths.PIPELINE}`")
    at, indent = place.start("indent"), place["indent"]
    return text[:at] + "".join(f"{indent}- {path}  {MARK}\n" for path in files) + text[at:]


def _listed(version: Path | str) -> Files:
    """Return the deps of each stage in `version`, the path or the content of dvc.yaml."""
    try:
        stages = read_yaml(version)["stages"]
        return {name: [str(dep) for dep in stages[name]["deps"]] for name in STAGES}
    except FileNotFoundError:
        raise RecordError(paths.PIPELINE, "no such file", "run this in the project's folder") from None
    except (LookupError, TypeError):
        raise RecordError(paths.PIPELINE, "not a pipeline of DVC's", checkout_hint(paths.PIPELINE)) from None
