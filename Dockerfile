# syntax=docker/dockerfile:1
FROM python:3.11-slim AS build
ENV UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
RUN pip install --no-cache-dir uv && uv venv /opt/venv
COPY requirements.txt constraints.txt ./
RUN uv pip install --no-cache --python /opt/venv/bin/python -r requirements.txt -c constraints.txt

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/signalbox --create-home signalbox
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY manage.py ./
COPY config config
COPY core core
COPY workers workers
COPY examples examples
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=config.settings \
    DEBUG=off \
    VAR_DIR=/var/lib/signalbox \
    STATIC_ROOT=/app/static \
    GRANIAN_HOST=0.0.0.0 \
    GRANIAN_PORT=8000 \
    GRANIAN_STATIC_PATH_MOUNT=/app/static \
    REMAP_SIGTERM=SIGQUIT
# The key serves this one command and stays out of the image.
RUN SECRET_KEY=only-for-collecting-static-files python manage.py collectstatic --no-input
USER signalbox
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-m", "config.probe", "web"]
CMD ["granian", "--interface", "wsgi", "--no-ws", "--respawn-failed-workers", "--log-config", "config/granian_logging.json", "config.wsgi:application"]
