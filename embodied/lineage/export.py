"""A line in the formats of others: W3C PROV-JSON, and CycloneDX's bill of materials for machine learning (1.6)."""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from typing import Any

from embodied.extras import advice
from embodied.lineage.line import Line
from embodied.lineage.record import Activity, Parent, Record

NAMESPACE = "urn:embodied-sim2real:"


def prov_json(line: Line) -> str:
    """The line as a document of W3C PROV in JSON.

    Raises:
        MissingExtraError: the library for it is not installed.
    """
    with advice():
        from prov.model import ProvDocument
    document = ProvDocument()
    document.add_namespace("embodied", NAMESPACE)
    for parent in line.sources:
        document.entity(_entity(parent.digest.sha256), {"prov:label": parent.name, "prov:type": parent.kind})
    for record in line.records:
        _add_to(document, record)
    return str(document.serialize(format="json", indent=1))


def _add_to(document: Any, record: Record) -> None:
    did, made = record.origin.activity, _entity(record.sha256)
    document.entity(made, {"prov:label": record.name, "prov:type": record.origin.kind})
    activity = document.activity(
        f"embodied:activity/{record.id}", _moment(did.started), _moment(did.finished), _attributes(did)
    )
    who = document.agent(f"embodied:agent/{_word(did.agent)}", {"prov:label": did.agent})
    document.wasGeneratedBy(made, activity, _moment(did.finished))
    document.wasAssociatedWith(activity, who)
    for parent in record.origin.parents:
        document.used(activity, _entity(parent.digest.sha256), None, None, {"prov:role": parent.role})
        document.wasDerivedFrom(made, _entity(parent.digest.sha256), activity)


def _attributes(did: Activity) -> dict[str, Any]:
    told = {"settings": did.settings, "environment": did.environment, "versions": did.versions}
    found = {f"embodied:{name}": json.dumps(value, sort_keys=True) for name, value in told.items() if value}
    found |= {"prov:type": did.kind} | ({"embodied:seeds": json.dumps(did.seeds)} if did.seeds else {})
    if did.code is not None:
        found |= {"embodied:revision": str(did.code.revision), "embodied:sources": did.code.sources}
    return found


def cyclonedx(line: Line) -> dict[str, Any]:
    """The line as a bill of materials (CycloneDX 1.6): the model with its card, data, and libraries."""
    record, did = line.record, line.record.origin.activity
    data = [_data(parent) for one in line.records for parent in one.origin.parents]
    libraries = [_library(name, version) for name, version in did.versions.items() if name != "python"]
    parts = {part["bom-ref"]: part for part in (*data, *libraries)}
    of_model = [f"sha256:{parent.digest.sha256}" for parent in record.origin.parents]
    whole = f"sha256:{record.sha256}"
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, NAMESPACE + record.id)}",
        "version": 1,
        "metadata": {"component": _model(line, whole)} | ({"timestamp": did.finished} if did.finished else {}),
        "components": [*parts.values()],
        "dependencies": [{"ref": whole, "dependsOn": sorted({*of_model, *(one["bom-ref"] for one in libraries)})}],
    }


def _model(line: Line, ref: str) -> dict[str, Any]:
    record, did = line.record, line.record.origin.activity
    metrics = [
        {"type": name, "value": f"{value:.6g}"} | _interval(value, one.result.errors.get(name))
        for one in line.measurements
        for name, value in one.result.values.items()
    ]
    approach = "supervised" if did.kind in ("distill", "clone") else "reinforcement-learning"
    task = str(did.environment.get("id", did.kind))
    card: dict[str, Any] = {"modelParameters": {"approach": {"type": approach}, "task": task}}
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    is_model = record.origin.kind == "policy"
    return {
        "type": "machine-learning-model" if is_model else "data",
        "bom-ref": ref,
        "name": record.name,
        "hashes": [{"alg": "SHA-256", "content": record.sha256}],
    } | ({"modelCard": card} if is_model else {})


def _data(parent: Parent) -> dict[str, Any]:
    return {
        "type": "machine-learning-model" if parent.kind == "policy" else "data",
        "bom-ref": f"sha256:{parent.digest.sha256}",
        "name": parent.name,
        "description": parent.role,
        "hashes": [{"alg": "SHA-256", "content": parent.digest.sha256}],
    }


def _library(name: str, version: str) -> dict[str, Any]:
    url = f"pkg:pypi/{name}@{version.replace('+', '%2B')}"
    return {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def _interval(value: float, error: float | None) -> dict[str, Any]:
    if error is None:
        return {}
    low, high = value - 1.96 * error, value + 1.96 * error
    return {"confidenceInterval": {"lowerBound": f"{low:.6g}", "upperBound": f"{high:.6g}"}}


def _entity(sha256: str) -> str:
    return f"embodied:sha256/{sha256}"


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text) or "unknown"


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)
