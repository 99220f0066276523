"""torch.compile with its cache in the project, so that the next training does not compile again."""

import os

from torch import nn

from pipeline import paths

FOLDER = "TORCHINDUCTOR_CACHE_DIR"


def compile_network(network: nn.Module, *, deterministic: bool) -> None:
    """Compile `network` at its first forward pass; `deterministic` requires bit-identical results in every run.

    The cache is data/.compiled, unless the environment variable names another folder.
    """
    # Imported here, since the import takes a second. PyTorch may already have set the variable to its default.
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    if os.environ.get(FOLDER) in (None, default_cache_dir()):
        os.environ[FOLDER] = str(paths.COMPILED.absolute())
    # Otherwise the compiler times several kernels and takes the fastest, and each kernel rounds differently.
    network.compile(options={"deterministic": deterministic})
