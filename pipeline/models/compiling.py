"""torch.compile, whose work is kept in the project, so that the next training need not do it again."""

import os

from torch import nn

from pipeline import paths

FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def compile_network(network: nn.Module, *, deterministic: bool) -> None:
    """Let torch.compile make `network` faster when it first computes; `deterministic` asks for the same bits each time.

    What it makes is kept in data/.compiled, unless the environment names another folder.
    """
    # Here, since importing it takes a second. PyTorch has written the default into the environment by now.
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get(FOLDER) in (None, default_cache_dir()):
        os.environ[FOLDER] = str(paths.COMPILED.absolute())
    # Else the compiler takes whichever of several kernels is the fastest just now, and each rounds in its own way.
    network.compile(options={"deterministic": deterministic})
