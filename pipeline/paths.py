"""All paths of a project, relative to its root."""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")

DATA = Path("data")
RAW = DATA / "raw"
RAW_DVC = DATA / "raw.dvc"
# The hash of all files of data/raw, whether or not they are present locally.
RAW_HASH = DATA / "raw.hash"
# Labels of images, which take precedence over their folders.
LABELS = RAW / "labels.csv"
IMAGES = DATA / "images"
# The stored images, in files that DVC tracks one by one, so that none has to be present locally.
SHARDS = DATA / "shards"
SHARDS_DVC = DATA / "shards.dvc"
# Refused files, with the reasons.
REFUSED = IMAGES / "refused.csv"
MANIFEST = DATA / "manifest"
# Held-out images that are not used because they leak, with the images that they resemble.
LEAKS = MANIFEST / "leaks.csv"
# Images whose labels evaluate reviews.
REVIEW = MANIFEST / "review.csv"
BASE = DATA / "base"
MODEL = DATA / "model"
# Learning curves of the model and of all generations before it, and those of a training that is running.
CURVES = DATA / "curves"
# The environment in which the model was trained: versions, processor, threads.
ENVIRONMENT = DATA / "environment.json"
# Manual decisions about models. Tracked by Git, not by DVC.
ACCEPTED = DATA / "accepted.json"
# Ids of images that no shard may contain once they are removed from data/raw. Tracked by Git.
ERASED = DATA / "erased.csv"
# Images that have to be forgotten completely, and what was deleted for that. Tracked by Git.
FORGOTTEN = DATA / "forgotten.csv"
# Classes that were renamed, merged, split or dropped. Tracked by Git.
CLASSES = DATA / "classes.csv"
# Initial weights, files or folders. `true` and `false` stand for the values of `train.pretrained` that are no path.
WEIGHTS = DATA / "weights"
REPORT = DATA / "report"
# The main metrics, for `dvc metrics diff`; and all others: of each class and slice, and the facts about them.
METRICS = REPORT / "metrics.json"
DETAILS = REPORT / "details.json"
# Pages that commands write on request. Can be removed at any time.
PAGES = DATA / "pages"
# Unfinished work of an interrupted stage. Not an output of DVC, so that it cannot leak into one.
PROGRESS = DATA / ".progress"
# Cache of decoded images. Can be removed at any time.
DECODED = DATA / ".decoded"
# Cache of blocks of remote shards. Can be removed at any time.
STORED = DATA / ".stored"
# Cache of a frozen backbone's features. Can be removed at any time.
FEATURES = DATA / ".features"
# Logs of experiment trackers. Can be removed at any time.
LOGS = DATA / "logs"
# Cache of torch.compile. Can be removed at any time.
COMPILED = DATA / ".compiled"
