"""Settles DVC's record of a stage: makes it name the present code, where that code produces the recorded outputs.

The recorded data, params and model stay as they are. Nothing is run or pulled, and only code is hashed. DVC still
detects all other changes.
"""

import inspect

import PIL

from pipeline import paths
from pipeline.errors import RecordError
from pipeline.files import md5_of_bytes, write_text
from pipeline.images import pixels
from pipeline.params import Params
from pipeline.versioning import repository
from pipeline.versioning.definition import CODE
from pipeline.versioning.lock import read_yaml
from pipeline.versioning.weights import NEUTRAL, NEUTRAL_PARAMS


def settle(name: str) -> None:
    """Make dvc.lock record the stage `name` with the command in dvc.yaml and the present code.

    Files and params that the stage did not have yet when it ran are recorded with the values that change nothing.

    Raises:
        RecordError: another DVC command is running.
    """
    from dvc.dependency.param import ParamsDependency
    from dvc.lock import LockError
    from dvc.stage.serialize import to_lockfile
    from dvc.utils.serialize import dumps_yaml
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.meta import Meta

    repo = repository.repository()
    try:
        with repo.lock:
            stage = repo.stage.load_one(name=name)
            for dep in stage.deps:
                if dep.def_path.startswith(CODE):
                    dep.save()
                elif dep.def_path in NEUTRAL and not dep.hash_info:
                    content = NEUTRAL[dep.def_path].encode()
                    dep.hash_info, dep.meta = HashInfo("md5", md5_of_bytes(content)), Meta(size=len(content))
                elif isinstance(dep, ParamsDependency):
                    new = {param: value for param, value in NEUTRAL_PARAMS.items() if param in dep.params}
                    dep.fill_values({**new, **(dep.hash_info.value or {})})
            record = read_yaml(paths.LOCK)
            record["stages"].update(to_lockfile(stage))
            write_text(paths.LOCK, dumps_yaml(record))  # Atomically, unlike `stage.dump`.
    except LockError:
        raise RecordError(paths.LOCK, "another DVC command is running", "wait until that has ended") from None


def keep_decoded(params: Params) -> bool:
    """Give the images in data/.decoded the name that this release looks for; return whether there were any.

    Up to commit 6b401a0 their name was a hash of source text. It cannot be computed once that text changes: then the
    images are decoded again.
    """
    if pixels.VERSION != 1:
        return False
    reader = pixels.PixelReader(params.ingest.mode, params.train.size)
    made_by = f"{reader.mode} {reader.size} {PIL.__version__} {inspect.getsource(pixels.to_pixels)}"
    old = md5_of_bytes(made_by.encode())
    found = False
    for kind in ("pixels", "rows"):
        path, target = (paths.DECODED / f"{name}.{kind}" for name in (old, reader.recipe))
        if path.exists() and not target.exists():
            path.replace(target)
            found = True
    return found
