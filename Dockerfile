# The stage: docker build --tag tollspan .
# Its demo, the same with SDKs to ask models with: docker build --target demo --tag tollspan-demo .
FROM python:3.13.9-slim-bookworm AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13.9-slim-bookworm AS stage
# Memory of requests is kept for the next one, as collector/allocator.py does, and from the first
# allocation on.
ENV MALLOC_TRIM_THRESHOLD_=536870912 \
    MALLOC_MMAP_THRESHOLD_=33554432 \
    MALLOC_TOP_PAD_=67108864 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile "$(ls /wheels/tollspan-*.whl)[collector]" \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tollspan
USER 10001
WORKDIR /tmp
# Off loopback a token is asked for: TOLLSPAN_TOKEN.
ENV TOLLSPAN_HOST=0.0.0.0
EXPOSE 4317 4318 4320
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/readyz' % os.environ.get('TOLLSPAN_ADMIN_PORT', 4320), timeout=2.5)"]
ENTRYPOINT ["tollspan"]
CMD ["stage"]

FROM stage AS demo
USER root
RUN pip install --no-cache-dir --no-compile "openai>=3" opentelemetry-distro
USER 10001
HEALTHCHECK NONE
ENTRYPOINT []

# What is built when nothing else is asked for.
FROM stage
