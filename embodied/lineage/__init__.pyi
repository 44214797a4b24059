from .content import sha256_of_artifact as sha256_of_artifact
from .export import cyclonedx as cyclonedx
from .export import prov_json as prov_json
from .keys import SigningKey as SigningKey
from .keys import make_certificate as make_certificate
from .keys import make_key as make_key
from .line import Line as Line
from .making import Making as Making
from .making import note_measurement as note_measurement
from .measurement import Measurement as Measurement
from .record import Activity as Activity
from .record import Parent as Parent
from .record import Record as Record
from .search import made_from as made_from
from .signing import Release as Release
from .signing import sign as sign
from .trust import Trust as Trust
from .trust import verify as verify

__all__ = [
    "Activity",
    "Line",
    "Making",
    "Measurement",
    "Parent",
    "Record",
    "Release",
    "SigningKey",
    "Trust",
    "cyclonedx",
    "made_from",
    "make_certificate",
    "make_key",
    "note_measurement",
    "prov_json",
    "sha256_of_artifact",
    "sign",
    "verify",
]
