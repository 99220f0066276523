#!/usr/bin/env bash
# Trains on the changes of a branch, and commits the result to it: .github/retrain.sh BASE COMMENT [LIMIT]
#   BASE     the revision to compare metrics with, for example origin/main
#   COMMENT  the file to write a summary to, as Markdown
#   LIMIT    the time limit (330m), a few minutes less than that of the job; with `compute.progress: remote`,
#            another run resumes the training
# Run it in a clean clone, on the branch. It fetches the data that it needs, and prints how much that was.
# It pushes the cache before the commit that needs it.
set -euo pipefail
base=$1 comment=$2 limit=${3:-}

if [ ! -e data/raw.dvc ]; then
  echo "retrain: DVC does not track data/raw in this branch; nothing to train on"
  exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() { # Writes a heading and the output of the stages to COMMENT.
  {
    printf '### %s\n\n~~~\n' "$1"
    grep -E '^(listing|ingest|manifest|train|evaluate|ERROR|error|fatal): ' "$log" || tail -n 5 "$log"
    echo '~~~'
  } > "$comment"
}

# On SIGINT, training saves its state, uploads it, and ends.
repro() {
  if [ -n "$limit" ]; then
    timeout --signal=INT --kill-after=150 "$limit" dvc repro --pull
  else
    dvc repro --pull
  fi
}

# `pipeline upgrade` prevents a needless training if the branch only brings another release of the code. Of data/raw,
# only new files are fetched.
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
  echo "Nothing new: the model in dvc.lock is up to date." | tee "$comment"
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
