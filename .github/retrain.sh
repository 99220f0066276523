#!/usr/bin/env bash
# Trains on what a branch brings, and records it there: .github/retrain.sh BASE COMMENT [LIMIT]
#   BASE     the revision to compare metrics with, origin/main, say
#   COMMENT  the file to write what happened to, as Markdown
#   LIMIT    how long it may take (330m), some minutes less than the job may; with `compute.progress: remote`
#            another run goes on where it was
# Run in a clean clone, on the branch; what is needed of the data is fetched, and how much that was is printed.
# The cache is pushed before the commit that needs it.
set -euo pipefail
base=$1 comment=$2 limit=${3:-}

if [ ! -e data/raw.dvc ]; then
  echo "retrain: DVC tracks no data/raw here; nothing to train on"
  exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { # What the stages printed under a headline, to COMMENT.
  {
    printf '### %s\n\n~~~\n' "$1"
    grep -E '^(listing|ingest|manifest|train|evaluate|ERROR|error|fatal): ' "$log" || tail -n 5 "$log"
    echo '~~~'
  } > "$comment"
}

# Asked to end, training saves its state, uploads that, and ends.
repro() {
  if [ -n "$limit" ]; then
    timeout --signal=INT --kill-after=150 "$limit" dvc repro --pull
  else
    dvc repro --pull
  fi
}

# Where the branch brings another release of the code, that alone trains nothing that it need not. Of data/raw what is
# new is fetched, file by file.
if ! { python -m pipeline upgrade && repro; } 2>&1 | tee "$log"; then
  if grep -q '^train: interrupted' "$log"; then
    say "Training is not finished: run the job again"
  else
    say "Training failed"
  fi
  exit 1
fi

git add dvc.lock data
if git diff --cached --quiet; then
  echo "Nothing new: the model is that of dvc.lock." | tee "$comment"
  exit 0
fi

if ! { dvc push && git commit --quiet --message "Train on the images of this branch" && git push --quiet origin HEAD; } \
  2>&1 | tee -a "$log"; then
  say "Trained, but not pushed"
  exit 1
fi
say "Trained on this branch"
{
  printf '\nAgainst %s:\n\n' "$base"
  dvc metrics diff --md "$base"
} >> "$comment"
echo "retrain: pushed $(git rev-parse --short HEAD)"
