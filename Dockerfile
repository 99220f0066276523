# Runs a project that is mounted at /project; docs/install.md says how. TORCH: cpu, cu130 …, or empty for PyPI's build.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim
ARG TORCH=cpu
ARG EXTRAS=export,s3,ssh
RUN apt-get update -qq \
    && apt-get install -qq --no-install-recommends git make openssh-client \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory "*"
WORKDIR /treering
COPY Makefile setup.mk pyproject.toml README.md LICENSE* requirements*.txt ./
COPY pipeline pipeline
RUN make setup TORCH="${TORCH}" EXTRAS="${EXTRAS}" && rm -rf /root/.cache
# The code of the mounted project comes first, and whoever runs it may have no home.
ENV PATH=/treering/.venv/bin:$PATH PYTHONPATH=/project HOME=/tmp
WORKDIR /project
CMD ["dvc", "repro"]
