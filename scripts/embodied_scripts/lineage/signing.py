"""Keys and signatures from the command line."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console

from embodied.lineage.keys import CERTIFICATE, PUBLIC, SigningKey, fingerprint, make_certificate, make_key
from embodied.lineage.signing import sign
from embodied_scripts.cli.lineage import Keys, Sign
from embodied_scripts.lineage.artifacts import artifact_at

PASSWORD = "EMBODIED_KEY_PASSWORD"


def keys(asked: Keys) -> None:
    """Makes a key and, where it is to be somebody's, a certificate."""
    key = make_key(asked.path, os.environ.get(PASSWORD))
    public = asked.path.with_name(asked.path.name + PUBLIC)
    told = f"Wrote {asked.path} (keep it to yourself) and {public}, fingerprint {fingerprint(public)}"
    if asked.name is not None:
        made = make_certificate(key, asked.name, asked.days, None if asked.issuer is None else _issuer(asked.issuer))
        told += f"; {made.certificate} is valid for {asked.days:g} days"
    Console(soft_wrap=True).print(told, markup=False, highlight=False)


def sign_folder(asked: Sign) -> None:
    """Signs a folder as a release."""
    folder = artifact_at(asked.folder)
    key = SigningKey(asked.key, os.environ.get(PASSWORD), asked.certificate)
    release = sign(folder, key, asked.name, asked.version, asked.counter, asked.role, asked.not_before, asked.not_after)
    Console(soft_wrap=True).print(
        f"Signed {folder} for {release.role} as {release.name} {release.version}, counter {release.counter}.",
        markup=False,
        highlight=False,
    )


def _issuer(private: Path) -> SigningKey:
    return SigningKey(private, os.environ.get(PASSWORD), private.with_name(private.name + CERTIFICATE))
