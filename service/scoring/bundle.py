"""Model bundles on disk: verify against the registered digest, then load.

`<bundles>/<name>/<version>/` holds `manifest.json`, `pipeline.joblib`, `goldens.json` and, where
the pipeline converts, `model.onnx`; nothing else. Every file is read once, and what was verified
is what is used: a file changed afterwards changes nothing. Nothing is unpickled here.
"""

import errno
import hmac
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from service.scoring import manifest as manifests
from service.scoring.errors import BundleRefused, ScorerUnavailable
from service.scoring.manifest import GOLDENS, MANIFEST, ONNX, SIZE_LIMITS, Manifest
from service.scoring.outputs import ModelOutput
from service.scoring.scorer import Engine, Scorer

# Distances differ in the last bits between libraries and processors; labels must not.
TOLERANCE = 1e-6


class Golden(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's traits and what the trained pipeline answered for them."""

    profile: dict[str, Any]
    output: ModelOutput


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose bytes are the registered ones, held in memory."""

    folder: Path
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]


def verify(folder: Path, registered_digest: str) -> VerifiedBundle:
    """Read a bundle once and compare every byte with the registered digest.

    `registered_digest` is the SHA-256 of `manifest.json`, 64 hex digits. Raises BundleRefused.
    """
    if not manifests.is_sha256(registered_digest):
        raise BundleRefused("The registered digest is not a SHA-256 of 64 hex digits.")
    name = f"{folder.parent.name}/{folder.name}"
    with _opened(folder, name) as directory:
        content = _read(directory, MANIFEST, name)
        # Before it is parsed: a forged manifest isn't worth reading.
        _compare(manifests.sha256(content), registered_digest, MANIFEST, name)
        manifest = _decoded(content, name)
        if (manifest.name, manifest.version) != (folder.parent.name, folder.name):
            raise BundleRefused(
                f"{name}: its manifest is that of {manifest.name}/{manifest.version}."
            )
        present, expected = set(os.listdir(directory)), {MANIFEST, *manifest.files}  # noqa: PTH208 of a descriptor
        if unexpected := sorted(present - expected):
            raise BundleRefused(f"{name}: {unexpected[0]!r} is not in the manifest.")
        files = {}
        for file, registered in manifest.files.items():
            files[file] = content = _read(directory, file, name)
            if len(content) != registered.size:
                raise BundleRefused(
                    f"{name}: {file} has {len(content)} bytes, {registered.size} in the manifest."
                )
            _compare(manifests.sha256(content), registered.sha256, file, name)
    return VerifiedBundle(folder, registered_digest, manifest, files)


def load(bundle: VerifiedBundle) -> Scorer:
    """A scorer of the bundle that has answered all its goldens right.

    The ONNX form if it is there and answers them, else the pipeline in a child process, with the
    reason in `scorer.reason`. Raises BundleRefused if neither does.
    """
    goldens = _goldens(bundle)
    reason = bundle.manifest.onnx_reason
    if bundle.manifest.onnx:
        from service.scoring.onnx_engine import OnnxEngine

        width, height = len(bundle.manifest.features), len(bundle.manifest.labels)
        try:
            engine = OnnxEngine(bundle.files[ONNX], width, height)
            return _checked(bundle.manifest, engine, goldens, None)
        except BundleRefused as refusal:
            reason = str(refusal)

    from service.scoring.joblib_engine import JoblibEngine

    return _checked(bundle.manifest, JoblibEngine(bundle.folder, bundle.digest), goldens, reason)


def check_goldens(scorer: Scorer, goldens: list[Golden]) -> None:
    """Raise BundleRefused at the first golden that the scorer answers otherwise."""
    profiles = [golden.profile for golden in goldens]
    single = [scorer.predict_one(profile) for profile in profiles]
    for number, (golden, one, many) in enumerate(
        zip(goldens, single, scorer.predict_many(profiles), strict=True)
    ):
        for output in (one, many):
            if not same(output, golden.output):
                raise BundleRefused(
                    f"{scorer.manifest.name}/{scorer.manifest.version}: the {scorer.form} form "
                    f"answers golden {number} with {_told(output)}, not {_told(golden.output)}."
                )


def same(first: ModelOutput, second: ModelOutput) -> bool:
    """Whether two outputs agree: labels exactly, numbers within 1e-6."""
    return (
        (first.label, first.unusual) == (second.label, second.unusual)
        and _close(first.confidence, second.confidence)
        and _close(first.score, second.score)
    )


def _close(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _told(output: ModelOutput) -> str:
    return msgspec.json.encode(output).decode()


def _checked(
    manifest: Manifest, engine: Engine, goldens: list[Golden], reason: str | None
) -> Scorer:
    scorer = Scorer(manifest, engine, reason)
    try:
        check_goldens(scorer, goldens)
    except ScorerUnavailable as unavailable:
        scorer.close()
        raise BundleRefused(str(unavailable)) from unavailable
    except BundleRefused:
        scorer.close()
        raise
    return scorer


def _goldens(bundle: VerifiedBundle) -> list[Golden]:
    try:
        goldens = msgspec.json.decode(bundle.files[GOLDENS], type=list[Golden])
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BundleRefused(f"{bundle.manifest.name}: {GOLDENS} is invalid: {error}.") from error
    if not goldens:
        raise BundleRefused(f"{bundle.manifest.name}: {GOLDENS} is empty.")
    return goldens


def _decoded(content: bytes, name: str) -> Manifest:
    try:
        return manifests.decode(content)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BundleRefused(f"{name}: {MANIFEST} is registered but invalid: {error}.") from error


def _compare(found: str, registered: str, file: str, name: str) -> None:
    if not hmac.compare_digest(found, registered):
        raise BundleRefused(
            f"{name}: {file} is not the registered one "
            f"(SHA-256 {found[:12]}…, registered {registered[:12]}…)."
        )


@contextmanager
def _opened(folder: Path, name: str) -> Iterator[int]:
    """The folder's descriptor: files are opened relative to it, so it can't be swapped midway."""
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError as error:
        raise BundleRefused(f"{name}: there is no such bundle.") from error
    except OSError as error:
        raise BundleRefused(f"{name}: not a readable folder ({error.strerror}).") from error
    try:
        yield directory
    finally:
        os.close(directory)


def _read(directory: int, file: str, name: str) -> bytes:
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(file, flags, dir_fd=directory)
    except FileNotFoundError as error:
        raise BundleRefused(f"{name}: {file} is missing.") from error
    except OSError as error:
        what = "a symbolic link" if error.errno == errno.ELOOP else f"unreadable ({error.strerror})"
        raise BundleRefused(f"{name}: {file} is {what}.") from error
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise BundleRefused(f"{name}: {file} is not a regular file.")
        limit = SIZE_LIMITS[file]
        content = opened.read(limit + 1)
    if len(content) > limit:
        raise BundleRefused(f"{name}: {file} is larger than {limit} bytes.")
    return content
