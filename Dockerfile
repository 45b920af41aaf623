# One image for every process of the exchange: `crossbook api`, `crossbook worker ...`, `crossbook topics`.
FROM python:3.11-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
RUN python -m venv .venv
# The packages first: they change less often than the code.
COPY pyproject.toml constraints.txt README.md ./
RUN mkdir api benchmarks cli commands crossbook_client domain projections streams ui \
    && .venv/bin/pip install --no-cache-dir -c constraints.txt --config-settings editable_mode=compat -e .
COPY . .
RUN .venv/bin/pip install --no-cache-dir --no-deps --config-settings editable_mode=compat -e . \
    && .venv/bin/python scripts/compile_domain.py \
    && rm -rf build \
    && .venv/bin/python -m compileall -q api cli commands crossbook_client domain projections streams ui

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data crossbook \
    && install -d -o crossbook -g crossbook -m 0700 /data
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 CROSSBOOK_DATA_DIR=/data
WORKDIR /app
USER crossbook
VOLUME /data
ENTRYPOINT ["crossbook"]
