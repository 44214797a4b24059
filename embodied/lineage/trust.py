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
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from embodied.errors import LineageError
from embodied.files import checked, read_json, read_toml, write_json
from embodied.lineage.content import RECORDS, Damaged, name_of, records_of, sha256_of_artifact
from embodied.lineage.keys import certificates, fingerprint
from embodied.lineage.line import Line
from embodied.lineage.record import Sha256
from embodied.lineage.signing import Release, Role, Signature, release_of, signature_of, verify_files, verify_signature

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
    """A trust file that was read."""

    path: Path
    file: TrustFile

    @classmethod
    def load(cls, path: str | Path) -> Trust:
        """Reads a trust file.

        Raises:
            LineageError: it is none, or a signer has neither key nor authorities, or both.
        """
        path = Path(path)
        file = checked(read_toml(path, Damaged), TrustFile, f"{path} is no trust file", Damaged)
        for name, signer in file.signers.items():
            if (signer.key is None) != bool(signer.authorities):
                raise Damaged(f"{path}: signer {name} needs a key or authorities, and not both")
        return cls(path, file)

    def verify(self, folder: str | Path, role: Role = "release") -> Release:
        """Checks who signed a folder, that they may, that it is what they signed, that it is not too old, and that
        nothing in its line was revoked.

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
        line = _line_of(folder)
        verify_files(folder, signature)
        self._check_time(release, signature, signers)
        self._check_signature(folder, signers)
        if release.sha256 != sha256_of_artifact(folder) or release.record != (line and line.record.id):
            raise LineageError("changed", f"{folder} is not what its release speaks of")
        self._check_age(release)
        self._check_revoked(folder, line)
        self._remember(release)
        return release

    def _signers(self, folder: Path, signature: Signature, release: Release, role: Role) -> list[Signer]:
        """Those who may have signed it, and may sign such a thing."""
        if signature.key in self.file.revoked.keys:
            raise LineageError("revoked", f"the key that signed {folder} was revoked")
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

    def _check_signature(self, folder: Path, signers: list[Signer]) -> None:
        """Checks that one of them did sign it."""
        for i, signer in enumerate(signers, 1):
            key = self._at(signer.key) if signer.key else None
            try:
                return verify_signature(folder, key, [self._at(one) for one in signer.authorities])
            except LineageError:
                if i == len(signers):
                    raise

    def _could_sign(self, signer: Signer, signature: Signature) -> bool:
        if signer.key is not None:
            return not signature.certificates and fingerprint(self._at(signer.key)) == signature.key
        return bool(signature.certificates)

    def _at(self, name: str) -> Path:
        return self.path.parent / name

    def _check_time(self, release: Release, signature: Signature, signers: list[Signer]) -> None:
        """Certificates, those of authorities among them, and the release itself: the library compares no dates."""
        now = dt.datetime.now(dt.UTC)
        authorities = [one for signer in signers for path in signer.authorities for one in certificates(self._at(path))]
        for certificate in (*signature.certificates, *authorities):
            if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
                raise LineageError(
                    "expired",
                    f"a certificate that {release.name} was signed with is valid from "
                    f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}",
                )
        if release.not_before and now < _time(release.not_before):
            raise LineageError("early", f"{release.name} {release.version} may be used from {release.not_before} on")
        if release.not_after and now > _time(release.not_after):
            raise LineageError("expired", f"{release.name} {release.version} could be used until {release.not_after}")

    def _check_age(self, release: Release) -> None:
        oldest = max(self.file.oldest.get(release.name, 0), self._seen().get(release.name, 0))
        if release.counter < oldest:
            raise LineageError(
                "rollback",
                f"{release.name} {release.version} has counter {release.counter}, older than {oldest}: a newer one was "
                "released",
            )

    def _check_revoked(self, folder: Path, line: Line | None) -> None:
        for name, sha256 in _contents(folder, line):
            if sha256 in self.file.revoked.artifacts:
                raise LineageError("revoked", f"{folder} is, or was made from, {name}, which was revoked")

    def _seen(self) -> dict[str, int]:
        path = self._memory
        if not self.file.remember or not path.exists():
            return {}
        return checked(read_json(path, Damaged), dict[str, int], f"{path} is damaged", Damaged)

    def _remember(self, release: Release) -> None:
        seen = self._seen()
        if not self.file.remember or release.counter <= seen.get(release.name, -1):
            return
        try:
            write_json(self._memory, seen | {release.name: release.counter})
        except OSError as error:
            raise LineageError(
                "unwritable",
                f"{self._memory} cannot be written ({error.strerror or error}), and an older release could not be told "
                "from this one: make the folder writable, or say remember = false",
            ) from None

    @property
    def _memory(self) -> Path:
        return self.path.with_name(self.path.name + SEEN)


def verify(folder: str | Path, trust: str | Path | Trust, role: Role = "release") -> Release:
    """Checks a folder by a trust file; see `Trust.verify`."""
    return (trust if isinstance(trust, Trust) else Trust.load(trust)).verify(folder, role)


def _line_of(folder: Path) -> Line | None:
    """The line of what lies in a folder, checked; None if nothing is recorded of it."""
    if not records_of(folder).is_file():
        return None
    line = Line.load(folder)
    line.check(folder)
    return line


def _contents(folder: Path, line: Line | None) -> Iterator[tuple[str, str]]:
    """Names and digests of a folder's content, and of all that is known to have gone into it."""
    yield name_of(folder), sha256_of_artifact(folder)
    for record in line.records if line else ():
        yield record.name, record.sha256
        for parent in record.origin.parents:
            yield parent.name, parent.digest.sha256


def _time(text: str) -> dt.datetime:
    try:
        told = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Damaged(f"a release names no time: {text!r}") from None
    return told if told.tzinfo else told.replace(tzinfo=dt.UTC)
