# Stages: `build` makes the virtual environment; `demo` adds what compose.demo.yaml plays with; the last, the default,
# is the service and nothing else.

# By digest where a build is to be the same again: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/tools && python -m venv --without-pip /opt/venv
COPY requirements/build.txt requirements/image.txt requirements/
# Both secrets are optional: pip's settings and a CA, for networks that reach packages through a mirror of their own.
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    /opt/tools/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements/build.txt \
    && /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY forwarder forwarder
# Bytecode that is never checked against its source starts as fast on a read-only file system, and is the same in every build.
RUN /opt/tools/bin/pip wheel --quiet --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --no-compile --no-deps --no-index /dist/*.whl \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

FROM build AS build-demo
COPY requirements/demo.txt requirements/
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca.pem \
    /opt/tools/bin/pip --python /opt/venv/bin/python install --quiet --no-cache-dir --require-hashes -r requirements/demo.txt

FROM ${PYTHON_IMAGE} AS demo
COPY --from=build-demo /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /tmp
STOPSIGNAL SIGTERM
ENTRYPOINT ["forwarder"]
CMD ["demo"]

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="whatwatt-forwarder" \
      org.opencontainers.image.description="Forwards whatwatt Go telemetry from MQTT to signed webhooks, losing nothing on the way." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# A new volume takes over the owner and mode of the folder that it covers.
RUN install -d -o 10001 -g 10001 -m 0700 /data && install -d /etc/forwarder
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FORWARDER_ROUTES_FILE=/etc/forwarder/routes.yaml \
    FORWARDER_OUTBOX_URL=sqlite:////data/outbox.db \
    FORWARDER_HTTP_LISTEN=0.0.0.0:8080 \
    FORWARDER_LOG_FORMAT=json
USER 10001:10001
WORKDIR /
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s --retries=3 CMD ["forwarder", "health"]
ENTRYPOINT ["forwarder"]
CMD ["run"]
