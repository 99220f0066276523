#!/usr/bin/env bash
# Trains on what a branch brings, and records it there: .github/retrain.sh BASE COMMENT
#   BASE     the revision to compare metrics with, origin/main, say
#   COMMENT  the file to write what happened to, as Markdown
# Run in a clean clone, on the branch. The cache is pushed before the commit that needs it.
set -euo pipefail
base=$1 comment=$2

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

# Where the branch brings another release of the code, that alone trains nothing that it need not. Of data/raw what is
# new is fetched, file by file.
if ! { python -m pipeline upgrade && dvc repro --pull; } 2>&1 | tee "$log"; then
  say "Training failed"
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
  # Without those of single classes and slices, of which there may be more than a comment may hold.
  dvc metrics diff --md "$base" | sed -E '/^\|[^|]*\| *(classes|slices)\./d'
} >> "$comment"
echo "retrain: pushed $(git rev-parse --short HEAD)"
