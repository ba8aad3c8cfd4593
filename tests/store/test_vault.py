"""The vault's key file: made once whoever starts, private, and replaceable."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from service.store import vault
from service.store.vault import FILE, Vault, VaultRefused, open_vault

PROCESSES = 4
ROUNDS = 25


def _open_all(
    folders: list[Path], together: Barrier, answers: "multiprocessing.Queue[str]"
) -> None:
    for folder in folders:
        together.wait(30)
        answers.put(f"{folder.name} {open_vault(folder).fingerprints('test', 'x')[0].hex()}")


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    folders = [tmp_path / f"data-{number}" for number in range(ROUNDS)]
    together = context.Barrier(PROCESSES)
    answers: multiprocessing.Queue[str] = context.Queue()
    processes = [
        context.Process(target=_open_all, args=(folders, together, answers))
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    told = {answers.get(timeout=60) for _ in range(PROCESSES * ROUNDS)}
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert len(told) == ROUNDS
    for folder in folders:
        assert [path.name for path in folder.iterdir()] == [FILE]


def test_the_key_is_its_owners_only(tmp_path: Path) -> None:
    open_vault(tmp_path)
    path = tmp_path / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(VaultRefused, match="chmod 600"):
        open_vault(tmp_path)


@pytest.mark.parametrize(("content", "told"), [(b"", "is empty"), (b"no key\n", "is no key")])
def test_a_key_that_was_damaged_is_not_replaced(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / FILE
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(VaultRefused, match=told):
        open_vault(tmp_path)
    assert path.read_bytes() == content


def test_a_replaced_key_still_decrypts_and_recognises(tmp_path: Path) -> None:
    before = open_vault(tmp_path)
    secret, fingerprint = before.encrypt("whsec_1"), before.fingerprints("customer", "c-1")[0]
    vault.rotate(tmp_path)
    after = open_vault(tmp_path)
    assert after.decrypt(secret) == "whsec_1"
    newest, oldest = after.fingerprints("customer", "c-1")
    assert oldest == fingerprint != newest


def test_a_vault_that_is_open_takes_the_key_that_another_process_has_made(tmp_path: Path) -> None:
    held = open_vault(tmp_path)
    before = held.fingerprints("customer", "c-1")
    vault.rotate(tmp_path)
    other = open_vault(tmp_path)
    # What another process encrypts with it is read, whether or not it was looked at meanwhile.
    assert held.decrypt(other.encrypt("whsec_2")) == "whsec_2"
    assert held.fingerprints("customer", "c-1") == other.fingerprints("customer", "c-1")
    vault.rotate(tmp_path)
    newest = open_vault(tmp_path).fingerprints("customer", "c-1")
    held.look()
    assert held.fingerprints("customer", "c-1") == newest
    assert newest[2:] == before
    assert open_vault(tmp_path).decrypt(held.encrypt("x")) == "x"


def test_a_vault_that_is_open_outlives_a_damaged_file(tmp_path: Path) -> None:
    held = open_vault(tmp_path)
    before = held.fingerprints("customer", "c-1")
    path = tmp_path / FILE
    path.write_bytes(b"")
    with pytest.raises(VaultRefused, match="is empty"):
        held.look()
    assert held.fingerprints("customer", "c-1") == before
    path.unlink()
    with pytest.raises(VaultRefused, match="can't be read"):
        held.look()


def test_fingerprints_are_of_one_key_and_one_purpose() -> None:
    key = Fernet.generate_key()
    one, same = Vault([key]), Vault([key])
    assert one.fingerprints("customer", "c-1") == same.fingerprints("customer", "c-1")
    others = [
        one.fingerprints("customer", "c-2"),
        one.fingerprints("email", "c-1"),
        Vault([Fernet.generate_key()]).fingerprints("customer", "c-1"),
    ]
    assert one.fingerprints("customer", "c-1") not in others
