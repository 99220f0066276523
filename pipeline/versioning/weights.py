"""Which code trains which weights: what a release says of training, so that no project retrains for nothing.

A version stands for code that makes the same model of the same manifests, base and params, bit for bit. The hash of the
code that `train` depends on is known here for every release; tests/contracts/test_releases.py holds that of the code
itself, and tests/scenarios/test_upgrade.py trains with both.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.files import md5_of_bytes
from pipeline.versioning.definition import code_among, flat
from pipeline.versioning.lock import StageRecord

# The version of the weights that code trains, by the hash of that code. What is not listed is nobody's release.
VERSIONS = {
    "68ec48140a0bd5c830a1fa41b1d71a37": 1,  # 6b401a0
    "b5cd8db3a1ca4a0a6e07e462e4c1cd8b": 1,  # 5046afb
    "34eac3692457b075add8334cb26da3c0": 2,  # 83c1998
    "20a7ca207dfc5043e5aaf8a058a06124": 3,  # 15364d3
    "664cde705e1a5cac20a534b111ee4e82": 4,  # 21d18ba
    "451aa859e16b0ce902d413bdb37c36d5": 4,
}

# What training reads by now and changes no weight as long as it says this, by path: a model that is recorded without it
# stands for one with it.
NEUTRAL = {
    "data/manifest/classes.csv": "was,now\n",
    "data/weights/false": "drawn by the seed\n",
    "data/weights/true": "published for the model\n",
}
# Likewise the params that it has by now, and the values at which they change no weight.
NEUTRAL_PARAMS: dict[str, Any] = {
    "train.accumulate": 1,
    "train.clip_norm": None,
    "train.crop_pct": 1.0,
    "train.framing": "fill",
    "train.freeze": "none",
    "train.head_epochs": 0.0,
    "train.head_lr": 1.0,
    "train.layer_decay": 1.0,
    "train.loss": "cross_entropy",
    "train.views": 4,
}


def code_hash(deps: Mapping[str, str]) -> str:
    """Of the code among `deps`, hashes by path: what `md5sum PATH… | md5sum` prints of the paths in order."""
    lines = [f"{md5}  {path}\n" for path, md5 in sorted(code_among(deps).items())]
    return md5_of_bytes("".join(lines).encode())


def is_outdated(recorded: StageRecord, now: StageRecord) -> bool:
    """Whether DVC would run a stage that is `recorded` for its code or its command, as they are `now`."""
    return recorded.command != now.command or code_among(recorded.deps) != code_among(now.deps)


def why_retrain(recorded: StageRecord, now: StageRecord) -> str | None:
    """Why the model that is `recorded` does not stand for what training would make `now`, as far as code decides that.

    None where it does: then the record may name the code of now instead, whatever became of data and params since.
    """
    before, after = (VERSIONS.get(code_hash(stage.deps)) for stage in (recorded, now))
    if before is None:
        return "the recorded model was trained by code of no release, perhaps with changes of your own"
    if after is None:
        return "the code here is that of no release, perhaps with changes of your own"
    if before != after:
        return f"this release trains other weights (version {after}, and not {before}; CHANGELOG.md says why)"
    added = _surroundings(now) - _surroundings(recorded) - NEUTRAL.keys() - NEUTRAL_PARAMS.keys()
    if other := sorted(added | (_surroundings(recorded) - _surroundings(now))):
        return f"this release has more or less for it to read or write ({', '.join(other)})"
    return None


def with_neutral_params(recorded: StageRecord, now: StageRecord) -> StageRecord:
    """What is `recorded`, with what it stands for of the params that it lacks and `now` has."""
    neutral = {name: value for name, value in NEUTRAL_PARAMS.items() if name in now.params}
    return replace(recorded, params={**neutral, **recorded.params})


def _surroundings(stage: StageRecord) -> set[str]:
    """The params, files and folders that a stage reads and writes, apart from code."""
    return flat(stage.params).keys() | (stage.deps.keys() - code_among(stage.deps).keys()) | stage.outs.keys()
