"""The containers run what the Procfile says, healthy, without privileges and without secrets."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ["web", "celery", "celery-beat", "flower"]
SECRETS = {
    "SECRET_KEY": "k" * 50,
    "POSTGRES_PASSWORD": "p",
    "REDIS_PASSWORD": "r",
    "FLOWER_BASIC_AUTH": "u:p",
}


def client() -> list[str]:
    """Return the Compose client of this machine, or skip."""
    docker = shutil.which("docker")
    if (
        docker
        and not subprocess.run([docker, "compose", "version"], capture_output=True).returncode
    ):
        return [docker, "compose"]
    pytest.skip("this machine has no Docker Compose client")


def test_all_parts_are_there() -> None:
    """Web, database, cache, worker, beat and Flower start by themselves, nginx when asked for."""
    expected = {*OWN, "postgres", "redis", "nginx"}
    assert expected <= set(SERVICES)
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"nginx"}


def test_containers_run_what_the_procfile_says() -> None:
    """There is one way to start each process."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    procfile = dict(line.split(": ", 1) for line in lines)
    assert {name: SERVICES[name]["command"] for name in OWN} == {
        name: procfile[name] for name in OWN
    }
    assert SERVICES["migrate"]["command"] == procfile["release"]


def test_every_service_that_stays_has_a_health_check() -> None:
    """Only the migration, which ends, is not watched."""
    unwatched = {name for name, service in SERVICES.items() if "healthcheck" not in service}
    assert unwatched == {"migrate"}


def test_processes_wait_for_a_migrated_database() -> None:
    """No process starts before the tables are there and the servers answer."""
    for name in OWN:
        conditions = {k: v["condition"] for k, v in SERVICES[name]["depends_on"].items()}
        assert conditions == {
            "migrate": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }


@pytest.mark.parametrize("name", [*OWN, "migrate"])
def test_own_containers_have_no_privileges(name: str) -> None:
    """They run read-only, without capabilities, as the image's unprivileged user."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "user" not in service
    assert re.search(r"^USER signalbox$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)


def test_only_the_proxy_can_be_reached_from_outside() -> None:
    """Web and Flower are published on the host alone, the servers not at all."""
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert set(published) == {"web", "flower", "nginx"}
    for name in ("web", "flower"):
        assert all(port.startswith("127.0.0.1:") for port in published[name])
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert all(SERVICES[name]["networks"] == ["back"] for name in ("postgres", "redis"))


def test_secrets_come_from_the_environment() -> None:
    """Every secret must be given; none has a default, none stands in the file."""
    for name in SECRETS:
        assert re.search(rf"\$\{{{name}:\?", TEXT), f"{name} must be required"
        assert not re.search(rf"\$\{{{name}:-", TEXT), f"{name} must have no default"


def test_cache_and_broker_use_different_databases() -> None:
    """Clearing the cache must not empty the broker."""
    environment = SERVICES["web"]["environment"]
    assert environment["REDIS_URL"].endswith("/1")
    assert environment["CELERY_BROKER_URL"].endswith("/0}")


def test_whatever_is_mounted_is_declared() -> None:
    """Every named volume and network that a service uses exists."""
    for service in SERVICES.values():
        sources = {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert {s for s in sources if not s.startswith(".")} <= set(COMPOSE["volumes"])
        assert all((ROOT / s).exists() for s in sources if s.startswith("."))
        assert set(service["networks"]) <= set(COMPOSE["networks"])


def test_the_image_holds_what_it_copies() -> None:
    """Every path that the Dockerfile copies exists and is not ignored."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in re.findall(r"^COPY (?!--)(.+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert f"!{source}" in ignored


def test_compose_accepts_the_file() -> None:
    """Docker Compose itself finds no fault, with and without the proxy."""
    for profile in ([], ["--profile", "nginx"]):
        done = subprocess.run(
            [*client(), *profile, "config", "--quiet"],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/usr/local/bin:/bin", **SECRETS},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
