"""Who is trusted to sign what: a file of one's own, by which what others signed is taken or refused.

[signers.lab]
key = "lab.pub"                   # relative to this file; or authorities = ["root.crt"]
roles = ["release"]               # of training, evaluation and release
policies = ["signpost", "so101-*"]

[oldest]                          # counters below are refused
signpost = 3

[revoked]
artifacts = ["9f86d0…"]           # SHA-256 of contents: of these, and of all that was made from them
keys = ["2c26b4…"]                # fingerprints
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from embodied.errors import LineageError
from embodied.files import checked, exclusive, read_json, read_toml, write_json
from embodied.lineage.content import RECORDS, Damaged, name_of, sha256_of_artifact
from embodied.lineage.keys import certificates, fingerprint, fingerprint_of
from embodied.lineage.line import Line
from embodied.lineage.record import Sha256
from embodied.lineage.search import recorded
from embodied.lineage.signing import (
    Release,
    Role,
    Signature,
    line_in,
    moment,
    release_of,
    signature_of,
    verify_files,
    verify_signature,
)

SEEN = ".seen.json"  # beside a trust file: the highest counter of each policy that was taken


class Signer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who may sign: by a key, or by certificates of authorities; in which roles; policies of which names."""

    key: str | None = None
    authorities: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ("release",)
    policies: tuple[str, ...] = ("*",)


class Revoked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is no longer to be used: contents, and all that was made from them; fingerprints of keys."""

    artifacts: tuple[Sha256, ...] = ()
    keys: tuple[Sha256, ...] = ()


class TrustFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a trust file holds.

    Attributes:
        signers: by a name that is for people; oldest: counters, by policy.
        remember: keep the highest counter of each policy beside the file, and refuse lower ones from then on.
    """

    signers: dict[str, Signer]
    oldest: dict[str, int] = {}
    revoked: Revoked = Revoked()
    remember: bool = True


@dataclass(frozen=True)
class Trust:
    """A trust file that was read, and the name of the releases that are wanted."""

    path: Path
    file: TrustFile
    name: str | None = None

    @classmethod
    def load(cls, path: str | Path, name: str | None = None) -> Trust:
        """Reads a trust file.

        Args:
            name: of the releases that are wanted; None takes any that the file allows.

        Raises:
            LineageError: it is none, or a signer has neither key nor authorities, or both.
        """
        path = Path(path)
        file = checked(read_toml(path, Damaged), TrustFile, f"{path} is no trust file", Damaged)
        for who, signer in file.signers.items():
            if (signer.key is None) != bool(signer.authorities):
                raise Damaged(f"{path}: signer {who} needs a key or authorities, and not both")
        return cls(path, file, name)

    def verify(self, folder: str | Path, role: Role = "release") -> Release:
        """Checks who signed a folder, that they may, that it is what they signed, that it is not too old, and that
        nothing in the lines of what is in it was revoked.

        Returns:
            What was signed.

        Raises:
            LineageError: anything of it does not hold; `reason` says what in one word.
            MissingExtraError: the library for it is not installed.
        """
        folder = Path(folder)
        signature, release = signature_of(folder), release_of(folder)
        signers = self._signers(folder, signature, release, role)
        verify_files(folder, signature, but=(RECORDS,))
        line = line_in(folder)
        verify_files(folder, signature)
        self._check_signature(folder, signature, signers)
        if release.sha256 != sha256_of_artifact(folder) or release.record != (line and line.record.id):
            raise LineageError("changed", f"{folder} is not what its release speaks of")
        _check_days(release)
        self._check_revoked(folder)
        with self._memory() as seen:
            self._check_age(release, seen)
            seen[_key(release)] = max(release.counter, seen.get(_key(release), 0))
        return release

    def _signers(self, folder: Path, signature: Signature, release: Release, role: Role) -> list[Signer]:
        """Those who may have signed it, and may sign such a thing."""
        keys = {signature.key, *(fingerprint_of(one.public_key()) for one in signature.certificates)}
        if keys & {*self.file.revoked.keys}:
            raise LineageError("revoked", f"the key that signed {folder}, or one that certified it, was revoked")
        if self.name not in (None, release.name):
            raise LineageError("name", f"{folder} is a release of {release.name}, and {self.name} is wanted")
        known = [one for one in self.file.signers.values() if self._could_sign(one, signature)]
        if not known:
            raise LineageError("stranger", f"nobody in {self.path} signed {folder}: its key is {signature.key[:12]}…")
        if release.role != role:
            raise LineageError("role", f"{folder} was signed for {release.role}, and {role} is asked for")
        allowed = [s for s in known if role in s.roles and any(fnmatchcase(release.name, p) for p in s.policies)]
        if not allowed:
            raise LineageError(
                "role", f"whoever signed {folder} may not sign {release.name} for {role}: see {self.path}"
            )
        return allowed

    def _check_signature(self, folder: Path, signature: Signature, signers: list[Signer]) -> None:
        """Checks that one of them did sign it, with certificates that are good today."""
        wrong: LineageError | None = None
        for signer in signers:
            try:
                self._check_signer(folder, signature, signer)
                return
            except LineageError as error:
                wrong = wrong or error
        assert wrong is not None
        raise wrong

    def _check_signer(self, folder: Path, signature: Signature, signer: Signer) -> None:
        authorities = [self._at(one) for one in signer.authorities]
        for certificate in signature.certificates:
            _check_dates(certificate)
        good = [path for path in authorities if not any(map(self._is_stale, certificates(path)))]
        if authorities and not good:
            _check_dates(certificates(authorities[0])[0])
            raise LineageError("revoked", f"the authorities that {folder} would be trusted by were revoked")
        verify_signature(folder, self._at(signer.key) if signer.key else None, good)

    def _is_stale(self, authority: Any) -> bool:
        """Whether an authority was revoked, or is out of date."""
        try:
            _check_dates(authority)
        except LineageError:
            return True
        return fingerprint_of(authority.public_key()) in self.file.revoked.keys

    def _could_sign(self, signer: Signer, signature: Signature) -> bool:
        if signer.key is None:
            return bool(signature.certificates)
        path = self._at(signer.key)
        return not signature.certificates and path.is_file() and fingerprint(path) == signature.key

    def _at(self, name: str) -> Path:
        return self.path.parent / name

    def _check_age(self, release: Release, seen: dict[str, int]) -> None:
        oldest = max(self.file.oldest.get(release.name, 0), seen.get(_key(release), 0))
        if release.counter < oldest:
            raise LineageError(
                "rollback",
                f"{release.name} {release.version} has counter {release.counter}, older than {oldest}: a newer one was "
                "released",
            )

    def _check_revoked(self, folder: Path) -> None:
        for name, sha256 in _contents(folder):
            if sha256 in self.file.revoked.artifacts:
                raise LineageError("revoked", f"{folder} holds {name}, or what was made from it, which was revoked")

    @contextmanager
    def _memory(self) -> Iterator[dict[str, int]]:
        """The highest counters that were taken; what is changed in it is kept, one process at a time.

        Raises:
            LineageError: it is damaged, or cannot be written.
        """
        if not self.file.remember:
            yield {}
            return
        path = self.path.with_name(self.path.name + SEEN)
        try:
            with exclusive(self.path):
                before = _counters(path)
                seen = dict(before)
                yield seen
                if seen != before:
                    write_json(path, seen)
        except OSError as error:
            raise LineageError(
                "unwritable",
                f"{path} cannot be written ({error.strerror or error}), and an older release could not be told from "
                "this one: make the folder writable, or say remember = false",
            ) from None


def verify(folder: str | Path, trust: str | Path | Trust, role: Role = "release") -> Release:
    """Checks a folder by a trust file; see `Trust.verify`."""
    return (trust if isinstance(trust, Trust) else Trust.load(trust)).verify(folder, role)


def _key(release: Release) -> str:
    """Under what its counter is remembered: a training's says nothing of a release's."""
    return release.name if release.role == "release" else f"{release.name} ({release.role})"


def _counters(path: Path) -> dict[str, int]:
    """The highest counters that were taken so far."""
    if not path.exists():
        return {}
    return checked(read_json(path, Damaged), dict[str, int], f"{path} is damaged", Damaged)


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Names and digests of what is in a folder, and of all that is known to have gone into it."""
    yield name_of(folder), sha256_of_artifact(folder)
    for path in recorded(folder):
        line = Line.load(path)
        line.check(path)
        for record in line.records:
            yield record.name, record.sha256
            for parent in record.origin.parents:
                yield parent.name, parent.digest.sha256


def _check_dates(certificate: Any) -> None:
    """Refuses a certificate out of its time; the library compares no dates."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not since <= dt.datetime.now(dt.UTC) <= until:
        raise LineageError("expired", f"a certificate is valid from {since:%Y-%m-%d} to {until:%Y-%m-%d} only")


def _check_days(release: Release) -> None:
    now = dt.datetime.now(dt.UTC)
    if release.not_before and now < moment(release.not_before):
        raise LineageError("early", f"{release.name} {release.version} may be used from {release.not_before} on")
    if release.not_after and now > moment(release.not_after, late=True):
        raise LineageError("expired", f"{release.name} {release.version} could be used until {release.not_after}")
