# Serves model folders on a CPU: docs/en/containers.md. Linted, and its commands run in a clean folder, by
# tests/house/test_containers.py.
FROM python:3.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/pannsdist
COPY docker/requirements-cpu.txt /source/docker/
RUN /opt/pannsdist/bin/pip install --require-hashes -r /source/docker/requirements-cpu.txt
COPY . /source/
# setuptools comes from the file above; the plugins are those with networks and front ends
RUN /opt/pannsdist/bin/pip install --no-index --no-deps --no-build-isolation /source \
    /source/plugins/pannsdist-ast /source/plugins/pannsdist-efficientat /source/plugins/pannsdist-frame-mn \
    /source/plugins/pannsdist-gammatone /source/plugins/pannsdist-kaldi-fbank \
    /source/plugins/pannsdist-log-spectrogram /source/plugins/pannsdist-mfcc /source/plugins/pannsdist-pcen

FROM python:3.12-slim-bookworm
# Paddle's wheel needs the OpenMP library of the system
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1=12.2.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --home-dir /var/lib/pannsdist --uid 10001 pannsdist
COPY --from=build /opt/pannsdist /opt/pannsdist
ENV PATH=/opt/pannsdist/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
WORKDIR /var/lib/pannsdist
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["pannsdist"]
CMD ["serve", "--host", "0.0.0.0", "--model", "/model"]
