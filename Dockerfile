# One recipe for every service:  docker build --build-arg SERVICE=meetings -t prospo-m365/meetings .
# Run as  <image> api | worker | migrate | redrive.  Nothing at run time needs a shell.
# BASE may name a digest (…@sha256:…), or another image that has Python 3.11.
# --target development is the simulator, the personas, the keys and the demo of compose.yaml; it is never deployed. It stands
# first, for a builder that makes every stage above the one it is asked for.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS development-packages
COPY requirements.lock requirements-dev.lock /
# the simulator reads its scenarios with PyYAML, which no service needs
RUN sed -n '/^pyyaml==/,/[^\\]$/p' /requirements-dev.lock > /simulator.lock \
 && python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes \
      --target /packages -r /requirements.lock -r /simulator.lock

FROM ${BASE} AS runtime
ENV PYTHONPATH=/packages PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001:10001

FROM runtime AS development
COPY --from=development-packages /packages /packages
COPY shared/src/ /app/
COPY dev/m365-simulator/src/ /app/
COPY services.toml /app/
COPY dev/__init__.py dev/demo.py dev/services.py /app/dev/
COPY dev/embedded/ /app/dev/embedded/
COPY deploy/compose/*.py /app/
COPY --from=development-packages --chown=10001:10001 /srv /state
WORKDIR /app

FROM ${BASE} AS lock
ARG SERVICE
COPY services/${SERVICE}/requirements.lock /

# without the service's name, so that services with the same lock share this layer
FROM ${BASE} AS packages
COPY --from=lock /requirements.lock /
RUN python -m pip install --no-cache-dir --no-compile --disable-pip-version-check --require-hashes \
      --target /packages -r /requirements.lock \
 && python -m compileall -q --invalidation-mode unchecked-hash /packages

FROM packages AS code
COPY shared/src/ /app/
ARG SERVICE
COPY services/${SERVICE}/src/ /app/
# `python /app` runs this file with /app first on the path
RUN cp "/app/$(printf %s "$SERVICE" | tr - _)/__main__.py" /app/__main__.py && mkdir /data \
 && python -m compileall -q --invalidation-mode unchecked-hash /app

FROM runtime
COPY --from=packages /packages /packages
COPY --from=code /app /app
COPY --from=code --chown=10001:10001 /data /data
WORKDIR /data
ENTRYPOINT ["python", "/app"]
CMD ["api"]
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health/live', timeout=3)"]
ARG SERVICE
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="prospo-m365-${SERVICE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
