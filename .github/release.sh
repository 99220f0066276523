#!/usr/bin/env bash
# Makes a release of the commit on main: raises the version, dates CHANGELOG.md, commits, tags, and builds and tests a
# wheel. It does not push. `make release VERSION=0.2.0` runs all checks first.
set -euo pipefail
cd "$(dirname "$0")/.."
stop() { echo "release: $1" >&2; exit 1; }
version=${1-}
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || stop "give a version: make release VERSION=0.2.0"
[ "$(git branch --show-current)" = main ] || stop "not on main: run \`git switch main\`"
[ -z "$(git status --porcelain)" ] || stop "uncommitted changes: run \`git commit\`"
! git rev-parse --quiet --verify "refs/tags/v$version" > /dev/null || stop "v$version exists already: give a later version"
awk '/^## / { seen = /Unreleased/ } seen && /^- / { found = 1 } END { exit !found }' CHANGELOG.md ||
  stop "CHANGELOG.md has no entry under [Unreleased]: list there what changes for users"
publish() { PYTHONPATH="$PWD/.venv/publish${PYTHONPATH+:$PYTHONPATH}" .venv/bin/python -m "$@"; }

# Built and tested in a copy first, so that a broken release is never tagged here.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git clone --quiet . "$copy/code"
(cd "$copy/code" && PYTHONPATH="$OLDPWD/.venv/publish${PYTHONPATH+:$PYTHONPATH}" \
  "$OLDPWD/.venv/bin/python" -m bumpversion bump --new-version "$version" > /dev/null)
# Projects made with the wheel get newer releases from the repository that this one is pushed to.
git -C "$copy/code" remote set-url origin "$(git remote get-url origin 2> /dev/null || pwd)"
(cd "$copy/code" && "$OLDPWD/.venv/bin/python" -c 'from pipeline.commands.init.making import pack; pack()')
.venv/bin/uv build --quiet --no-build-isolation --python .venv/bin/python --out-dir "$copy/dist" "$copy/code"
publish twine check --strict "$copy"/dist/* > /dev/null

# In an environment of its own, with the libraries of this one.
.venv/bin/python -m venv "$copy/venv"
.venv/bin/uv pip install --quiet --no-deps --python "$copy/venv/bin/python" "$copy"/dist/*.whl
.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$("$copy/venv/bin/python" -c \
  'import sysconfig; print(sysconfig.get_path("purelib"))')/libraries.pth"
mkdir "$copy/project"
cp params.yaml "$copy/project"
cd "$copy/project"
[ "$("$copy/venv/bin/pipeline" --version)" = "treering $version" ] || stop "the wheel is not $version"
"$copy/venv/bin/pipeline" check --quiet "$OLDPWD/data/sample/1-initial.zip" --html check.html
"$copy/venv/bin/python" -c 'import pipeline, sys; pipeline.load_model; assert pipeline.__file__.startswith(sys.argv[1])' "$copy/venv"
"$copy/venv/bin/pipeline" init --images "$OLDPWD/data/sample/1-initial.zip" -- "$copy/own" > /dev/null
cd "$OLDPWD"

git pull --quiet --ff-only "$copy/code" main
git fetch --quiet "$copy/code" "refs/tags/v$version:refs/tags/v$version"
mkdir -p dist
cp "$copy"/dist/{*.whl,*.tar.gz,.gitignore} dist/
echo "release: v$version, with dist/treering-$version-py3-none-any.whl"
echo "next: git push --follow-tags"
