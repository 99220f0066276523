"""Which code trains which weights: each release declares it, so that no project retrains without need.

All code of one version trains the same model, bit for bit, from the same manifests, base and params. For every release,
VERSIONS has the hash of the code that `train` depends on. tests/contracts/test_releases.py checks that it has the
present code, and tests/scenarios/test_upgrade.py trains with an earlier release and with the present code.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.files import md5_of_bytes
from pipeline.versioning.definition import code_among, flat
from pipeline.versioning.lock import StageRecord

# The version of the weights, by the hash of the code that trains them. Code that is not listed is not a release.
VERSIONS = {
    "68ec48140a0bd5c830a1fa41b1d71a37": 1,  # 6b401a0
    "b5cd8db3a1ca4a0a6e07e462e4c1cd8b": 1,  # 5046afb
    "34eac3692457b075add8334cb26da3c0": 2,  # 83c1998
    "20a7ca207dfc5043e5aaf8a058a06124": 3,  # 15364d3
    "664cde705e1a5cac20a534b111ee4e82": 4,  # 21d18ba
    "451aa859e16b0ce902d413bdb37c36d5": 4,  # 1c91305
    "8c1da46518ba0408e8902e6815c0426e": 4,  # 0e4a5db
    "630c24a958e5c880e2b1a8f9a1febc9d": 4,
}

# Files that training did not read in earlier releases, by path, with the content that changes no weight: a model
# recorded without such a file counts as trained with it.
NEUTRAL = {
    "data/manifest/classes.csv": "was,now\n",
    "data/weights/false": "drawn by the seed\n",
    "data/weights/true": "published for the model\n",
}
# Params that training did not have in earlier releases, with the values that change no weight.
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
    """Return the hash of the code among `deps`, hashes by path: the output of `md5sum PATH… | md5sum`, paths sorted."""
    lines = [f"{md5}  {path}\n" for path, md5 in sorted(code_among(deps).items())]
    return md5_of_bytes("".join(lines).encode())


def is_outdated(recorded: StageRecord, now: StageRecord) -> bool:
    """Whether DVC would rerun the stage `recorded` because its code or command is different `now`."""
    return recorded.command != now.command or code_among(recorded.deps) != code_among(now.deps)


def why_retrain(recorded: StageRecord, now: StageRecord) -> str | None:
    """Return why training as it is `now` would not give the `recorded` weights, as far as code decides that.

    None if it would: then the record may name the present code instead, regardless of changes to data and params.
    """
    before, after = (VERSIONS.get(code_hash(stage.deps)) for stage in (recorded, now))
    if before is None:
        return "the recorded model was trained with code that is no release, perhaps with your own changes"
    if after is None:
        return "the present code is no release, perhaps with your own changes"
    if before != after:
        return f"this release trains other weights (version {after}, and not {before}; CHANGELOG.md says why)"
    added = _surroundings(now) - _surroundings(recorded) - NEUTRAL.keys() - NEUTRAL_PARAMS.keys()
    if other := sorted(added | (_surroundings(recorded) - _surroundings(now))):
        return f"in this release training has other inputs or outputs ({', '.join(other)})"
    return None


def with_neutral_params(recorded: StageRecord, now: StageRecord) -> StageRecord:
    """Return `recorded` with the values from `NEUTRAL_PARAMS` for the params that it lacks and `now` has."""
    neutral = {name: value for name, value in NEUTRAL_PARAMS.items() if name in now.params}
    return replace(recorded, params={**neutral, **recorded.params})


def _surroundings(stage: StageRecord) -> set[str]:
    """Return the params, files and folders that a stage reads and writes, except code."""
    return flat(stage.params).keys() | (stage.deps.keys() - code_among(stage.deps).keys()) | stage.outs.keys()
