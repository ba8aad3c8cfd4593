# segserve with an embedded PostgreSQL, or with your own (DATABASE_URL); docs/operate.md tells how.
# tests/process/test_container.py does what is written here, without an engine.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/segserve
# What is locked changes seldom: it is a layer of its own.
COPY requirements/run.lock requirements/run.lock
RUN /opt/segserve/bin/python -m pip install --require-hashes --only-binary=:all: -r requirements/run.lock
COPY pyproject.toml README.md ./
COPY examples/starter.yaml examples/starter.yaml
COPY migrations migrations
COPY models models
COPY service service
RUN /opt/segserve/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/segserve/bin/python -m pip install --no-deps --no-index --find-links dist segserve

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="segserve" \
      org.opencontainers.image.description="Real-time customer segmentation service: which segments is this customer in, now, and why?" \
      org.opencontainers.image.version="0.1.0"
# PostgreSQL refuses to run as root, and nothing here needs it.
RUN groupadd --gid 10001 segserve \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin segserve \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data
COPY --from=build /opt/segserve /opt/segserve
# SEGSERVE_BOOTSTRAP_KEY has to be given: other machines reach this address, and without a key
# the service refuses to start.
ENV PATH="/opt/segserve/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    SEGSERVE_DATA_DIR=/data \
    SEGSERVE_HOST=0.0.0.0 \
    SEGSERVE_LOG_FORMAT=json \
    SEGSERVE_PORT=8000
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['SEGSERVE_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["segserve"]
CMD ["serve"]
