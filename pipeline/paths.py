"""Where everything lies, relative to the root of the project."""

from pathlib import Path

PARAMS = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
LOCK = Path("dvc.lock")

DATA = Path("data")
RAW = DATA / "raw"
RAW_DVC = DATA / "raw.dvc"
# The hash of all that belongs to data/raw, be it here or not.
RAW_HASH = DATA / "raw.hash"
# What labels images, before their folders do.
LABELS = RAW / "labels.csv"
IMAGES = DATA / "images"
# The stored images, in files of their own that DVC tracks one by one, so that none needs to be here.
SHARDS = DATA / "shards"
SHARDS_DVC = DATA / "shards.dvc"
# The files that are not used, and why.
REFUSED = IMAGES / "refused.csv"
MANIFEST = DATA / "manifest"
# The held-out images that are not used, and why.
LEAKS = MANIFEST / "leaks.csv"
# The images whose labels evaluate reviews.
REVIEW = MANIFEST / "review.csv"
BASE = DATA / "base"
MODEL = DATA / "model"
# The learning curves of the model, and of all before it; of the running training while there is one.
CURVES = DATA / "curves"
# What the model was trained with: versions, processor, threads.
ENVIRONMENT = DATA / "environment.json"
# What people decided about models; in Git, not in DVC.
ACCEPTED = DATA / "accepted.json"
# The ids of images that no shard may keep once they are gone from data/raw; in Git, too.
ERASED = DATA / "erased.csv"
# The images that must leave nothing behind, and what was deleted for it; in Git, too.
FORGOTTEN = DATA / "forgotten.csv"
# What became of classes that were renamed, merged, split or dropped; in Git, too.
CLASSES = DATA / "classes.csv"
# Weights to begin with, a file or folder each; `true` and `false` stand for the other values of `train.pretrained`.
WEIGHTS = DATA / "weights"
REPORT = DATA / "report"
# A screen of figures, for `dvc metrics diff`; and the rest: of each class and slice, and what they are of.
METRICS = REPORT / "metrics.json"
DETAILS = REPORT / "details.json"
# Pages that people asked for. Can be removed at any time.
PAGES = DATA / "pages"
# Unfinished work of a stage that was interrupted; no output of DVC's, so that nothing of it can leak into one.
PROGRESS = DATA / ".progress"
# Images as the network sees them, so that they are decoded once. Can be removed at any time.
DECODED = DATA / ".decoded"
# Pieces of shards that lie on the remote, as they are there. Can be removed at any time.
STORED = DATA / ".stored"
# Features of images, which a frozen backbone makes of them. Can be removed at any time.
FEATURES = DATA / ".features"
# What trackers of experiments write. Can be removed at any time.
LOGS = DATA / "logs"
# What torch.compile has made. Can be removed at any time.
COMPILED = DATA / ".compiled"
