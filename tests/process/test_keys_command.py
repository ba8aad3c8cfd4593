"""`segserve keys` and `segserve secret` beside a service that runs, and what a start refuses."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.process.service import PATIENCE, Service
from tests.running import connected

pytestmark = pytest.mark.anyio

ANYWHERE = "0.0.0.0"  # noqa: S104 - what a container listens on
BOOTSTRAP = "b00tstrap-" + "x" * 30


class Installation:
    """A database and a data folder, with the commands that work on them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.environment = {"DATABASE_URL": url}

    def command(self, *arguments: str, status: int = 0) -> tuple[str, str]:
        """What a command says on standard output and standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "service", *arguments],
            env={**os.environ, **self.environment, "SEGSERVE_DATA_DIR": str(self.data_dir)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout, " ".join(done.stderr.split())

    def serve(self, **environment: str) -> Service:
        return Service(self.folder, self.data_dir, **self.environment, **environment)


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Installation:
    return Installation(database_url, tmp_path)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def within_a_second(client: httpx.Client, key: str | None, status: int) -> None:
    until = time.monotonic() + 2.0  # and one for a busy machine
    while client.get("/segments", headers=bearer(key) if key else {}).status_code != status:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_keys_are_made_and_revoked_beside_the_service(installation: Installation) -> None:
    with installation.serve(SEGSERVE_LOG_LEVEL="debug") as service, service.client() as client:
        service.ready()
        assert "Protected mode" in service.stderr
        assert client.get("/segments").status_code == 200
        out, told = installation.command(
            "keys", "create", "Shop's own", "--scope", "admin", "--scope", "assign",
            "--expires", "90d", "--rate", "600", "--reason", "the shop opens",
        )  # fmt: skip
        key = out.strip()
        assert key.startswith("sgs_")
        assert "not shown again" in told
        within_a_second(client, None, 401)
        assert client.get("/segments", headers=bearer(key)).status_code == 200
        (made,) = client.get("/keys", headers=bearer(key)).json()["items"]
        assert (made["name"], made["scopes"]) == ("Shop's own", ["admin", "assign"])
        assert made["rate_limit"] == 600
        lifetime = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
        assert timedelta(days=89) < lifetime < timedelta(days=91)
        (entry,) = client.get("/audit", headers=bearer(key)).json()["items"]
        assert (entry["author"], entry["reason"]) == ("segserve", "the shop opens")
        for wrong in (key + "x", key[:-1]):
            assert client.get("/segments", headers=bearer(wrong)).status_code == 401
        listed, _ = installation.command("keys", "list")
        assert made["id"] in listed
        assert "Shop's own" in listed
        assert "live" in listed
        _, told = installation.command("keys", "revoke", made["id"])
        assert "answers this machine only" in told
        within_a_second(client, key, 200)  # in protected mode again, where keys don't matter
        listed, _ = installation.command("keys", "list")
        assert "revoked" in listed
        service.interrupt()
    for text in (service.stderr, listed, told):
        assert key[4:] not in text
    assert '"key_refused"' in service.stderr
    assert "127.0.0.1" in service.stderr


def test_what_the_command_refuses(installation: Installation) -> None:
    for expires, why in (
        ("90", "neither"), ("2001-01-01", "is over"), ("soon", "neither"),
        ("9999y", "too far away"), ("8500y", "too far away"),
    ):  # fmt: skip
        _, told = installation.command(
            "keys", "create", "x", "--scope", "read", "--expires", expires, status=2
        )
        assert why in told
    listed, _ = installation.command("keys", "list")
    assert "live" not in listed
    installation.command("keys", "create", "x", "--scope", "everything", status=2)
    installation.command("keys", "create", "x", status=2)
    installation.command("keys", "create", "x", "--scope", "read", "--rate", "0", status=2)
    _, told = installation.command("keys", "revoke", "k_0", status=1)
    assert "There is no key k_0" in told
    _, told = installation.command("keys", "create", "x", "--scope", "read")
    assert "No key has the scope admin" in told
    installation.command("keys", "create", "x", "--scope", "read")
    _, told = installation.command("keys", "revoke", "x", status=1)
    assert "2 keys are named x: say which of k_" in told


def test_a_key_is_revoked_by_its_name(installation: Installation) -> None:
    installation.command("keys", "create", "Web shop", "--scope", "read")
    _, told = installation.command("keys", "revoke", "Web shop")
    assert "k_" in told
    assert "this machine only" in told
    _, told = installation.command("keys", "revoke", "Web shop", status=1)
    assert "There is no key Web shop" in told


def test_others_are_not_let_near_a_service_without_keys(installation: Installation) -> None:
    for host in (ANYWHERE, "::", "192.0.2.1", "segments.example.com"):
        with installation.serve(SEGSERVE_HOST=host) as service:
            assert service.process.wait(PATIENCE) == 1
            told = " ".join(service.stderr.split())
            assert f"SEGSERVE_HOST={host}" in told
            assert "SEGSERVE_BOOTSTRAP_KEY" in told
            assert "Traceback" not in told
    installation.command("keys", "create", "first", "--scope", "admin")
    with installation.serve(SEGSERVE_HOST=ANYWHERE) as service, service.client() as client:
        service.ready()
        assert "Protected mode" not in service.stderr
        assert client.get("/segments").status_code == 401
        service.interrupt()


def test_the_bootstrap_key_is_the_first(installation: Installation) -> None:
    for key in ("short", "x" * 31, "with spaces " * 4, ""):
        with installation.serve(SEGSERVE_BOOTSTRAP_KEY=key) as service:
            assert service.process.wait(PATIENCE) == 2
            assert "SEGSERVE_BOOTSTRAP_KEY" in service.stderr
            assert not key or key not in service.stderr
    environment = {"SEGSERVE_HOST": ANYWHERE, "SEGSERVE_BOOTSTRAP_KEY": BOOTSTRAP}
    for _ in range(2):  # the second start finds it there
        with installation.serve(**environment) as service, service.client() as client:
            service.ready()
            (key,) = client.get("/keys", headers=bearer(BOOTSTRAP)).json()["items"]
            assert (key["name"], key["scopes"]) == ("bootstrap", ["admin"])
            service.interrupt()
        assert BOOTSTRAP not in service.stderr
    installation.command("keys", "revoke", key["id"])
    with installation.serve(**environment) as service:
        assert service.process.wait(PATIENCE) == 1
        assert "was revoked" in service.stderr


async def test_the_bootstrap_key_does_not_come_back(installation: Installation) -> None:
    """Once there is another key, it opens nothing that it did not before."""
    installation.command("keys", "create", "first", "--scope", "read")
    with installation.serve(SEGSERVE_BOOTSTRAP_KEY=BOOTSTRAP) as service:
        service.ready()
        with service.client() as client:
            assert client.get("/segments", headers=bearer(BOOTSTRAP)).status_code == 401
        service.interrupt()
    async with connected(installation.environment["DATABASE_URL"]) as connection:
        assert await connection.fetchval("select array_agg(name) from keys") == ["first"]


def test_the_secret_key_is_rotated(installation: Installation) -> None:
    path = installation.data_dir / "secret.key"
    installation.command("secret", "rotate")
    before = path.read_text().split()
    _, told = installation.command("secret", "rotate")
    assert "uses it within a second" in told
    after = path.read_text().split()
    assert after[1:] == before
    assert path.stat().st_mode & 0o777 == 0o600
    path.with_suffix(".new").touch()
    _, told = installation.command("secret", "rotate", status=1)
    assert "another rotation" in told
    assert path.read_text().split() == after
    path.with_suffix(".new").unlink()
    path.chmod(0o644)
    _, told = installation.command("secret", "rotate", status=1)
    assert "chmod 600" in told
    assert not path.with_suffix(".new").exists()
