"""Params for trainings of seconds."""

from typing import Any

from conftest import ROOT, TINY
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.params import Params, read_params


def tiny_params(**sections: dict[str, Any]) -> Params:
    """The project's params, tiny, with changes by section; also in params.yaml of the working directory."""
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    for changes in (TINY, sections):
        for section, values in changes.items():
            content[section].update(values)
    yaml.dump(content, paths.PARAMS)
    return read_params()
