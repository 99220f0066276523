# Each target sets up what it needs. Requires Python ≥ 3.11, git and make.
include setup.mk

.PHONY: repro demo check lint format test test-slow test-nightly bench bench-gpu requirements docs pictures release clean

.venv/dev-ready: .venv/ready requirements-dev.txt requirements-timm.txt requirements-bench.txt requirements-trackers.txt requirements-publish.txt
	$(call install,requirements-dev.txt)
	# In a folder of their own: torchvision, which timm requires, makes every import of lightning seconds slower.
	.venv/bin/uv pip install --quiet --require-hashes --no-deps --target .venv/timm -r requirements-timm.txt
	.venv/bin/uv pip install --quiet --require-hashes --no-deps --target .venv/bench -r requirements-bench.txt
	.venv/bin/uv pip install --quiet --require-hashes --no-deps --target .venv/trackers -r requirements-trackers.txt
	.venv/bin/uv pip install --quiet --require-hashes --no-deps --target .venv/publish -r requirements-publish.txt
	touch $@

repro: .venv/ready  ## train on data/raw, or on the sample images if it is empty
	@if [ -z "$$(ls -A data/raw 2>/dev/null)" ]; then mkdir -p data/raw && cp data/sample/1-initial.zip data/raw/; fi
	@if [ ! -e data/raw.dvc ]; then dvc add --quiet data/raw; fi
	dvc repro

demo: .venv/ready  ## demonstrate several generations in a temporary folder
	@python docs/demo.py

check: .venv/dev-ready  ## formatting, lint, types, and the tests
	$(MAKE) lint
	$(MAKE) test

lint: .venv/dev-ready
	ruff format --check .
	ruff check .
	mypy

format: .venv/dev-ready
	ruff format .
	ruff check --fix .

# Tests start many processes, which share bytecode even if the environment forbids writing it.
test test-slow test-nightly: export PYTHONDONTWRITEBYTECODE =

test: .venv/dev-ready
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m "not slow"

test-slow: .venv/dev-ready
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m "slow and not nightly"

test-nightly: .venv/dev-ready  ## long tests that .ci/run leaves out
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m nightly

bench: .venv/dev-ready  ## the benchmarks of docs/benchmarks.md, with peers in the same run
	python benchmarks/ingest.py
	python benchmarks/scale.py --csv docs/scale.csv
	python benchmarks/plot_scale.py docs/scale.csv docs/scale.svg
	python benchmarks/loading.py
	python benchmarks/training.py
	python benchmarks/new_classes.py
	python benchmarks/evaluate.py
	python benchmarks/suspects.py
	python benchmarks/team.py
	python benchmarks/remote.py
	npm install --silent --no-save --prefix .venv emoji-datasource-google@16
	python benchmarks/augmentation.py
	python benchmarks/next.py
	python benchmarks/fine_tuning.py
	# Measures only rows that docs/accuracy.csv lacks.
	for growth in "digits emoji fashion --generations 1 3 10 96 --passes 11 22" "fashion-classes fashion-bright fashion-rotated --generations 5" "fashion-one --generations 50" "fashion-long --generations 300 --seeds 1"; do \
	  python benchmarks/accuracy.py $$growth --first-seed 10 --csv docs/accuracy.csv; \
	done
	python benchmarks/plot.py docs/accuracy.csv docs/accuracy.svg

bench-gpu: .venv/dev-ready  ## the benchmark for a machine with a GPU; ten minutes
	python benchmarks/gpu.py

requirements: .venv/ready  ## pin the dependencies again
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade pyproject.toml --group build -o requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade pyproject.toml --group dev -c requirements.txt -o requirements-dev.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --no-deps --group timm -o requirements-timm.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --no-deps --group bench -o requirements-bench.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --no-deps --group trackers -o requirements-trackers.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade --group publish -c requirements.txt -c requirements-dev.txt -o requirements-publish.txt

docs: .venv/dev-ready  ## generate the reference pages, and build all pages as a site: .venv/site/index.html
	python docs/reference.py
	PYTHONPATH=.venv/publish NO_MKDOCS_2_WARNING=1 python -m mkdocs build --quiet --strict

pictures: .venv/dev-ready  ## the pictures of docs/pictures: runs a project, a terminal and a browser
	python docs/pictures.py

release: check docs  ## make release VERSION=0.2.0: sets version and date, commits, tags, builds dist/; does not push
	.github/release.sh $(VERSION)

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis
