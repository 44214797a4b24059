"""Where a model comes from: records, lines, signatures, and who is trusted with them."""

import base64
import datetime as dt
import json
import shutil
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from command import embodied
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from in_toto_attestation.v1.statement import Statement
from prov.model import ProvDocument, ProvEntity

from embodied.errors import LineageError
from embodied.lineage import (
    Line,
    Making,
    SigningKey,
    Trust,
    cyclonedx,
    made_from,
    make_certificate,
    make_key,
    note_measurement,
    prov_json,
    sha256_of_artifact,
    sign,
)
from embodied.lineage.content import RECORDS, RELEASE, SIGNATURE, records_of
from embodied.lineage.keys import fingerprint
from embodied.lineage.search import way_to
from embodied.nn.agent import NetworkAgent
from embodied.nn.policy import load_policy
from embodied_policies import MlpPolicy
from embodied_policies.trained import HERE
from embodied_scripts.deploying.players import player_of
from embodied_scripts.lineage.graph import page_of


def save(folder: Path, seed: int = 0) -> Path:
    import torch

    torch.manual_seed(seed)
    env = gym.make("Pendulum-v1")
    MlpPolicy(env.observation_space, env.action_space, layers=1, width=4).save(folder)
    return folder


@pytest.fixture
def policy(tmp_path: Path, monkeypatch) -> Path:
    """A policy that was trained from a fit to a log, with a second log that judged it."""
    monkeypatch.setenv("EMBODIED_AGENT", "robot 7")
    log, other = tmp_path / "log.csv", tmp_path / "other.csv"
    log.write_text("time,angle\n0,0.5\n")
    other.write_text("time,angle\n0,0.7\n")
    Making.begin("record").finish(other)
    fit = tmp_path / "fit.json"
    making = Making.begin("identify", [("recording", log), ("held-out recording", other)], {"starts": 6})
    fit.write_text("{}")
    making.finish(fit)
    making = Making.begin("train", [("randomization", fit)], {"steps": 7}, {"id": "embodied/Feel-v0"}, seeds=(3,))
    made = save(tmp_path / "run" / "policy")
    making.finish(made)
    return made


def reason_of(call, *args, **kwargs) -> str:
    with pytest.raises(LineageError) as caught:
        call(*args, **kwargs)
    return caught.value.reason


def test_a_line_leads_back_to_the_raw_log_seeds_and_code(policy):
    line = Line.load(policy)
    line.check(policy)
    assert [record.origin.activity.kind for record in line.records] == ["train", "identify", "record"]
    assert [one.name for one in line.sources] == ["log.csv"]
    did = line.record.origin.activity
    assert (did.seeds, did.agent) == ((3,), "robot 7")
    assert len(did.code.sources) == 64
    assert did.versions["numpy"] == np.__version__
    assert line.record.name == "run"
    (parent,) = line.record.origin.parents
    assert (parent.role, parent.name) == ("randomization", "fit.json")
    assert parent.record == next(iter(line.ancestors))


def test_every_line_of_the_file_is_a_statement_that_in_toto_reads(policy):
    statements = [json.loads(one) for one in (policy / RECORDS).read_text().splitlines()]
    assert len(statements) == 3
    for one in statements:
        read = Statement.copy_from_pb(Statement_pb(one))
        read.validate()
    (subject,) = statements[0]["subject"]
    assert subject == {"name": "run", "digest": {"sha256": sha256_of_artifact(policy)}}


def Statement_pb(data):
    from google.protobuf import json_format
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    return json_format.ParseDict(data, Message())


def test_content_of_a_policy_is_weights_and_card_whatever_lies_beside_them(policy, tmp_path):
    before = sha256_of_artifact(policy)
    card = json.loads((policy / "policy.json").read_text())
    (policy / "policy.json").write_text(json.dumps(card | {"files": {"trainer.json": "0" * 64}}, indent=3))
    (policy / "worlds.safetensors").write_bytes(b"1")
    assert sha256_of_artifact(policy) == before
    (policy / "policy.json").write_text(json.dumps(card | {"format": 3}))
    assert sha256_of_artifact(policy) != before
    assert sha256_of_artifact(save(tmp_path / "again")) == before
    assert sha256_of_artifact(save(tmp_path / "other", seed=1)) != before


def test_content_of_a_folder_changes_with_names_and_bytes_and_not_with_what_speaks_of_it(tmp_path):
    (tmp_path / "data" / "inner").mkdir(parents=True)
    (tmp_path / "data" / "inner" / "a.bin").write_bytes(b"1")
    before = sha256_of_artifact(tmp_path / "data")
    Making.begin("collect").finish(tmp_path / "data")
    assert sha256_of_artifact(tmp_path / "data") == before
    (tmp_path / "data" / "inner" / "a.bin").rename(tmp_path / "data" / "a.bin")
    assert sha256_of_artifact(tmp_path / "data") != before


def test_a_bad_log_is_followed_to_all_that_was_made_from_it(policy, tmp_path):
    (tmp_path / "clean").mkdir()
    clean = save(tmp_path / "clean" / "policy", seed=1)
    Making.begin("train", [("recording", tmp_path / "other.csv")]).finish(clean)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / RECORDS).write_text("{")
    found, unreadable = made_from(sha256_of_artifact(tmp_path / "log.csv"), [tmp_path])
    assert {one.path.name: one.through for one in found} == {
        "fit.json": ("log.csv",),
        "policy": ("fit.json", "log.csv"),
    }
    assert len(unreadable) == 1


def test_measurements_are_kept_beside_the_record_which_stays_as_it_was(policy):
    before = Line.load(policy).record.id
    content = sha256_of_artifact(policy)
    for success, episodes in ((0.5, 4), (0.75, 4), (0.7, 64)):
        settings = {"episodes": episodes}
        assert note_measurement(policy, content, "evaluate", {"success": success}, {"success": 0.1}, settings=settings)
    line = Line.load(policy)
    line.check(policy)
    assert [one.result.values["success"] for one in line.measurements] == [0.75, 0.7]
    assert line.record.id == before
    assert not note_measurement(policy, "1" * 64, "evaluate", {"success": 1.0}, {})  # measured before it was changed
    for name in ("policy.json", "policy.safetensors"):
        shutil.copy(save(policy.parent / "other", seed=1) / name, policy)
    assert not note_measurement(policy, sha256_of_artifact(policy), "evaluate", {"success": 1.0}, {})


def test_what_goes_on_from_a_checkpoint_keeps_its_line(policy):
    begun = Line.load(policy)
    again = Making.resume(begun).finish(policy)
    assert again.ancestors == begun.ancestors
    assert again.record.origin.parents == begun.record.origin.parents
    assert again.record.origin.activity.started == begun.record.origin.activity.started
    again.check(policy)


def test_prov_json_says_what_was_used_and_made_and_can_be_read_by_others(policy):
    document = ProvDocument.deserialize(content=prov_json(Line.load(policy)), format="json")
    entities = {str(one.label): one for one in document.get_records(ProvEntity)}
    assert entities.keys() == {"run", "fit.json", "log.csv", "other.csv"}
    told = document.get_provn()
    policy_id, log_id = (sha256_of_artifact(path) for path in (policy, policy.parents[1] / "log.csv"))
    fit_id = sha256_of_artifact(policy.parents[1] / "fit.json")
    assert f"wasDerivedFrom(embodied:sha256/{policy_id}, embodied:sha256/{fit_id}" in told
    assert f"wasDerivedFrom(embodied:sha256/{fit_id}, embodied:sha256/{log_id}" in told


def test_a_bill_of_materials_is_one_by_cyclonedx_own_schema(policy):
    note_measurement(policy, sha256_of_artifact(policy), "evaluate", {"success": 0.9}, {"success": 0.02})
    bill = cyclonedx(Line.load(policy))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert {part["name"] for part in bill["components"]} >= {"fit.json", "log.csv", "other.csv", "numpy"}
    (metric,) = bill["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert metric["confidenceInterval"]["lowerBound"] == "0.8608"


def test_the_page_draws_each_artifact_once_and_escapes_names(policy, tmp_path):
    line = Line.load(policy)
    page = page_of("<b>", line)
    assert page.count("<rect") == 4
    assert page.count("stroke-dasharray") == 1
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_a_parent_that_was_edited_counts_as_having_no_record_and_is_remarked_upon(policy, tmp_path):
    fit = tmp_path / "fit.json"
    fit.write_text('{"edited": "by hand"}')
    made = save(tmp_path / "next" / "policy")
    line = Making.begin("train", [("randomization", fit)]).finish(made)
    line.check(made)
    assert [one.name for one in line.sources] == ["fit.json"]
    assert "randomization fit.json does not hold (changed)" in line.record.origin.note


def test_links_in_data_are_followed_and_litter_is_not_content(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.bin").write_bytes(b"1")
    data = tmp_path / "data"
    data.mkdir()
    (data / "inner").symlink_to(tmp_path / "far")
    before = sha256_of_artifact(data)
    (data / ".DS_Store").write_bytes(b"2")
    assert sha256_of_artifact(data) == before
    (tmp_path / "far" / "a.bin").write_bytes(b"3")
    assert sha256_of_artifact(data) != before
    (data / "round").symlink_to(data)
    assert reason_of(sha256_of_artifact, data) == "symlink"


def test_weights_that_an_interrupted_save_left_are_not_taken_for_those_of_the_record(policy, tmp_path):
    evil = save(tmp_path / "evil", seed=1)
    shutil.copy(evil / "policy.safetensors", policy / "policy.safetensors.new")
    card = json.loads((policy / "policy.json").read_text())
    card["files"] = json.loads((evil / "policy.json").read_text())["files"]
    (policy / "policy.json").write_text(json.dumps(card))
    assert reason_of(Line.load(policy).check, policy) == "changed"
    assert reason_of(sha256_of_artifact, policy) == "changed"
    key = make_key(tmp_path / "key")
    assert reason_of(sign, policy, key, "feel", "1", 1) == "forbidden"


def test_what_is_written_into_records_can_be_read_again(tmp_path):
    (tmp_path / "a").write_text("1")
    settings = {
        "note": "one\u2028two\x85three",
        "path": Path("/home/somebody/private/log.csv"),
        "same": "/home/somebody/private/log.csv",
        "odd": b"\xff".decode(errors="surrogateescape"),
        "nothing": float("nan"),
    }
    Making.begin("record", settings=settings).finish(tmp_path / "a")
    line = Line.load(tmp_path / "a")
    line.check(tmp_path / "a")
    told = line.record.origin.activity.settings
    assert told["note"] == settings["note"]
    assert told["path"] == told["same"] == "log.csv"
    assert told["nothing"] == "nan"
    (tmp_path / "b").write_text("2")
    Making.begin("train", [("recording", tmp_path / "a")]).finish(tmp_path / "b")
    Line.load(tmp_path / "b").check(tmp_path / "b")


def test_a_line_in_which_each_was_made_twice_from_the_one_before_is_soon_searched_and_drawn(tmp_path):
    before = tmp_path / "0"
    before.write_text("0")
    first = sha256_of_artifact(before)
    for k in range(1, 25):
        path = tmp_path / str(k)
        path.write_text(str(k))
        Making.begin("train", [("initial policy", before), ("expert", before)]).finish(path)
        before = path
    line = Line.load(before)
    assert way_to(line, first) == tuple(str(k) for k in range(23, -1, -1))
    assert page_of("last", line).count("<rect") == 25


def test_a_search_says_where_it_could_not_look(policy, tmp_path):
    edit_record(policy, lambda lines: lines.pop(1))
    log = sha256_of_artifact(tmp_path / "log.csv")
    found, unclear = made_from(log, [tmp_path])
    assert [one.path.name for one in found] == ["fit.json"]
    assert "the record of fit.json is missing" in unclear[0]
    assert reason_of(made_from, log, [tmp_path / "nowhere"]) == "missing"


@pytest.mark.parametrize("folder", sorted(HERE.glob("*/policy.json")), ids=lambda path: path.parent.name)
def test_every_policy_that_comes_with_the_package_tells_where_it_comes_from(folder):
    line = Line.load(folder.parent)
    line.check(folder.parent)
    did = line.record.origin.activity
    assert did.seeds == (0,)
    assert did.code is not None or "by code of the days before revision" in line.record.origin.note


# What was tampered with, and how it is told.


@pytest.fixture
def lab(tmp_path: Path) -> SigningKey:
    return make_key(tmp_path / "keys" / "lab")


def trust_in(tmp_path: Path, more: str = "", signers: str = '[signers.lab]\nkey = "keys/lab.pub"\n') -> Trust:
    path = tmp_path / "trust.toml"
    path.write_text(signers + more)
    return Trust.load(path)


def signed(policy: Path, key: SigningKey, counter: int = 1, **told) -> Path:
    sign(policy, key, "feel", f"1.{counter}", counter, **told)
    return policy


def test_what_was_signed_is_loaded_and_acts(policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    signed(policy, lab)
    release = trust.verify(policy)
    assert (release.name, release.version, release.counter) == ("feel", "1.1", 1)
    assert release.record == Line.load(policy).record.id
    loaded = load_policy(policy.parent, trust=trust.path)
    NetworkAgent(loaded).act(NetworkAgent(loaded).initial(1, 0), np.zeros((1, 3), np.float32), np.ones(1, bool))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def edit_record(policy: Path, change) -> None:
    lines = [json.loads(one) for one in (policy / RECORDS).read_text().splitlines()]
    change(lines)
    (policy / RECORDS).write_text("".join(json.dumps(one) + "\n" for one in lines))


def swap_parent(policy: Path) -> None:
    def swap(lines):
        lines[0]["predicate"]["prov:wasDerivedFrom"][0]["digest"]["sha256"] = "1" * 64

    edit_record(policy, swap)


def improve_note(policy: Path) -> None:
    edit_record(policy, lambda lines: lines[0]["predicate"].update(note="trained with great care"))


def edit_card(policy: Path) -> None:
    card = json.loads((policy / "policy.json").read_text())
    (policy / "policy.json").write_text(json.dumps(card | {"env": {"id": "embodied/Heft-v0"}}))


def link(policy: Path) -> None:
    (policy / "policy.safetensors").rename(policy.parent / "elsewhere")
    (policy / "policy.safetensors").symlink_to(policy.parent / "elsewhere")


TAMPERED = {
    "weights": (lambda p: flip(p / "policy.safetensors"), "weights"),
    "card": (edit_card, "card"),
    "parent swapped": (swap_parent, "swapped"),
    "record removed": (lambda p: edit_record(p, lambda lines: lines.pop()), "removed"),
    "record rewritten": (improve_note, "changed"),
    "file renamed": (lambda p: (p / "policy.safetensors").rename(p / "weights.safetensors"), "added"),
    "file added": (lambda p: (p / "extra.py").write_text("print()"), "added"),
    "hidden file added": (lambda p: (p / ".hidden").write_text(""), "added"),
    "git file added": (lambda p: (p / ".gitattributes").write_text(""), "forbidden"),
    "file removed": (lambda p: (p / RECORDS).unlink(), "missing"),
    "symlink": (link, "symlink"),
    "unsigned": (lambda p: (p / SIGNATURE).unlink(), "unsigned"),
    "signature damaged": (lambda p: (p / SIGNATURE).write_text("{}"), "damaged"),
    "version": (lambda p: (p / RELEASE).write_text((p / RELEASE).read_text().replace("1.1", "1.9")), "changed"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_tampered_with_is_refused_with_its_own_reason(what, policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    signed(policy, lab)
    tamper, reason = TAMPERED[what]
    tamper(policy)
    assert reason_of(trust.verify, policy) == reason
    assert reason_of(load_policy, policy, trust=trust) == reason


def test_without_a_signature_a_line_still_tells_what_was_changed(policy):
    line = Line.load(policy)
    flip(policy / "policy.safetensors")
    assert reason_of(line.check, policy) == "changed"
    flip(policy / "policy.safetensors")
    line.check(policy)
    swap_parent(policy)
    assert reason_of(Line.load(policy).check, policy) == "swapped"


def test_a_record_that_nothing_was_made_from_is_not_taken(policy, tmp_path):
    edit_record(policy, lambda lines: lines[0]["predicate"].update({"prov:wasDerivedFrom": []}))
    assert reason_of(Line.load(policy).check, policy) == "swapped"


def test_an_older_release_is_refused_once_a_newer_one_was_taken(policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    old = shutil.copytree(signed(policy, lab, 1), tmp_path / "old")
    assert trust.verify(policy).counter == 1
    signed(policy, lab, 2)
    assert trust.verify(policy).counter == 2
    assert reason_of(trust.verify, old) == "rollback"
    assert reason_of(Trust.load(trust.path).verify, old) == "rollback"
    (tmp_path / "trust.toml.seen.json").unlink()
    assert trust.verify(old).counter == 1
    assert reason_of(trust_in(tmp_path, "[oldest]\nfeel = 2\n").verify, old) == "rollback"


def test_a_key_that_is_not_trusted_is_refused_also_if_it_says_it_is_another(policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    stranger = make_key(tmp_path / "keys" / "stranger")
    signed(policy, stranger)
    assert reason_of(trust.verify, policy) == "stranger"
    bundle = json.loads((policy / SIGNATURE).read_text())
    bundle["verificationMaterial"]["publicKey"]["hint"] = fingerprint(tmp_path / "keys" / "lab.pub")
    (policy / SIGNATURE).write_text(json.dumps(bundle))
    assert reason_of(trust.verify, policy) == "forged"


def test_files_that_a_signature_leaves_out_are_refused(policy, lab, tmp_path):
    signed(policy, lab)
    bundle = json.loads((policy / SIGNATURE).read_text())
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    payload["predicate"]["serialization"]["ignore_paths"] = [SIGNATURE, "policy.safetensors"]
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    (policy / SIGNATURE).write_text(json.dumps(bundle))
    assert reason_of(trust_in(tmp_path).verify, policy) == "forbidden"


def test_a_signer_signs_only_in_the_roles_and_for_the_policies_that_the_file_says(policy, lab, tmp_path):
    signers = '[signers.lab]\nkey = "keys/lab.pub"\nroles = ["training"]\npolicies = ["feel*"]\n'
    trust = trust_in(tmp_path, signers=signers)
    signed(policy, lab, role="training")
    assert trust.verify(policy, "training").role == "training"
    assert reason_of(trust.verify, policy) == "role"
    signed(policy, lab)
    assert reason_of(trust.verify, policy) == "role"
    sign(policy, lab, "heft", "1", 1, role="training")
    assert reason_of(trust.verify, policy, "training") == "role"


def test_what_was_revoked_is_refused_and_all_that_was_made_from_it(policy, lab, tmp_path):
    signed(policy, lab)
    log = sha256_of_artifact(tmp_path / "log.csv")
    for line in (f'artifacts = ["{log}"]', f'keys = ["{fingerprint(tmp_path / "keys" / "lab.pub")}"]'):
        assert reason_of(trust_in(tmp_path, f"[revoked]\n{line}\n").verify, policy) == "revoked"
    assert trust_in(tmp_path, f'[revoked]\nartifacts = ["{"1" * 64}"]\n').verify(policy)


def test_certificates_are_good_while_they_last_and_from_their_authority_only(policy, tmp_path):
    root = make_certificate(make_key(tmp_path / "root"), "authority", 1000)
    signers = '[signers.any]\nauthorities = ["root.crt"]\n'
    trust = trust_in(tmp_path, signers=signers)
    good = make_certificate(make_key(tmp_path / "good"), "trainer", 30, root)
    assert trust.verify(signed(policy, good)).counter == 1
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
    old = make_certificate(make_key(tmp_path / "old"), "trainer", 30, root, long_ago)
    assert reason_of(trust.verify, signed(policy, old)) == "expired"
    coming = dt.datetime.now(dt.UTC) + dt.timedelta(days=60)
    early = make_certificate(make_key(tmp_path / "early"), "trainer", 30, root, coming)
    assert reason_of(trust.verify, signed(policy, early)) == "expired"
    past = make_certificate(make_key(tmp_path / "past"), "authority", 30, begins=long_ago)
    of_past = make_certificate(make_key(tmp_path / "of-past"), "trainer", 300, past, long_ago)
    by_past = trust_in(tmp_path, signers='[signers.any]\nauthorities = ["past.crt"]\n')
    assert reason_of(by_past.verify, signed(policy, of_past)) == "expired"
    other_root = make_certificate(make_key(tmp_path / "other-root"), "authority", 1000)
    stranger = make_certificate(make_key(tmp_path / "stranger"), "trainer", 30, other_root)
    assert reason_of(trust.verify, signed(policy, stranger)) == "forged"


def test_a_release_is_used_between_its_days_only(policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    today = dt.datetime.now(dt.UTC)
    assert trust.verify(signed(policy, lab, not_before=f"{today:%Y-%m-%d}", not_after=f"{today:%Y-%m-%d}"))
    tomorrow, yesterday = (f"{today + dt.timedelta(days=days):%Y-%m-%d}" for days in (1, -1))
    assert reason_of(trust.verify, signed(policy, lab, not_before=tomorrow)) == "early"
    assert reason_of(trust.verify, signed(policy, lab, not_after=yesterday)) == "expired"
    assert trust.verify(signed(policy, lab, not_before=yesterday, not_after=tomorrow))


def test_a_private_key_is_its_owners_alone_encrypted_if_wanted_and_never_overwritten(policy, tmp_path):
    key = make_key(tmp_path / "key", password="secret")
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0
    assert reason_of(make_key, tmp_path / "key") == "unwritable"
    assert reason_of(signed, policy, SigningKey(key.private)) == "damaged"
    assert not (policy / RELEASE).exists()
    signed(policy, key)


def test_a_release_is_taken_under_the_name_that_is_wanted_only(policy, lab, tmp_path):
    trust = trust_in(tmp_path)
    signed(policy, lab)
    assert Trust.load(trust.path, "feel").verify(policy)
    assert reason_of(Trust.load(trust.path, "heft").verify, policy) == "name"


def test_what_files_in_a_signed_folder_were_made_from_can_be_revoked_too(policy, lab, tmp_path):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "arm.onnx").write_bytes(b"1")
    (folder / "arm.json").write_text("{}")
    Making.begin("export", [("policy", policy)]).finish(folder / "arm.onnx")
    signed(folder, lab)
    assert trust_in(tmp_path).verify(folder)
    log = sha256_of_artifact(tmp_path / "log.csv")
    assert reason_of(trust_in(tmp_path, f'[revoked]\nartifacts = ["{log}"]\n').verify, folder) == "revoked"
    (folder / "arm.json").write_text('{"contract": "another"}')
    assert reason_of(Line.load(folder / "arm.onnx").check, folder / "arm.onnx") == "changed"


def test_an_authority_that_was_revoked_or_is_out_of_date_does_not_stand_in_others_way(policy, tmp_path):
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
    past = make_certificate(make_key(tmp_path / "past"), "authority", 30, begins=long_ago)
    root = make_certificate(make_key(tmp_path / "root"), "authority", 1000)
    signers = '[signers.old]\nauthorities = ["past.crt"]\n[signers.new]\nauthorities = ["root.crt"]\n'
    signers += '[signers.lost]\nkey = "nowhere.pub"\n'
    signed(policy, make_certificate(make_key(tmp_path / "good"), "trainer", 30, root))
    assert past.certificate.exists()
    assert trust_in(tmp_path, signers=signers).verify(policy)
    revoked = f'[revoked]\nkeys = ["{fingerprint(tmp_path / "root.pub")}"]\n'
    only = '[signers.new]\nauthorities = ["root.crt"]\n'
    assert reason_of(trust_in(tmp_path, revoked, only).verify, policy) == "revoked"


def test_what_was_taken_in_one_role_says_nothing_of_another(policy, lab, tmp_path):
    trust = trust_in(tmp_path, signers='[signers.lab]\nkey = "keys/lab.pub"\nroles = ["training", "release"]\n')
    assert trust.verify(signed(policy, lab, 50, role="training"), "training").counter == 50
    assert trust.verify(signed(policy, lab, 2)).counter == 2


def test_nothing_is_remembered_where_that_is_not_wanted_and_a_folder_that_cannot_be_written_is_refused(
    policy, lab, tmp_path, monkeypatch
):
    signed(policy, lab, 5)
    trust = trust_in(tmp_path, signers='remember = false\n[signers.lab]\nkey = "keys/lab.pub"\n')
    assert trust.verify(policy)
    assert not (tmp_path / "trust.toml.seen.json").exists()

    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("embodied.lineage.trust.write_json", full)
    assert reason_of(trust_in(tmp_path).verify, policy) == "unwritable"


def test_a_signature_stays_where_the_next_one_fails(policy, lab, tmp_path):
    signed(policy, lab, 3)
    before = (policy / SIGNATURE).read_bytes()
    assert reason_of(signed, policy, SigningKey(tmp_path / "nowhere"), 4) == "damaged"
    assert reason_of(signed, policy, lab, -1) == "damaged"
    assert reason_of(signed, policy, lab, 4, not_after="soon") == "damaged"
    assert reason_of(signed, policy, lab, 2) == "rollback"
    assert (policy / SIGNATURE).read_bytes() == before
    assert trust_in(tmp_path).verify(policy).counter == 3
    assert reason_of(sign, tmp_path / "log.csv", lab, "log", "1", 1) == "missing"


def test_a_robot_takes_a_policy_only_from_whom_it_trusts(lab, tmp_path):
    folder = shutil.copytree(HERE / "feel", tmp_path / "feel")
    trust = trust_in(tmp_path)
    assert reason_of(player_of, str(folder), trust) == "unsigned"
    signed(folder, lab)
    assert player_of(str(folder), trust).name == "embodied/Feel-v0"
    flip(folder / "policy.safetensors")
    assert reason_of(player_of, str(folder), trust) == "weights"


def test_what_is_not_what_its_record_says_is_not_signed(policy, lab):
    flip(policy / "policy.safetensors")
    assert reason_of(signed, policy, lab) == "changed"


@pytest.mark.parametrize(
    "text",
    ["[signers.lab]\n", '[signers.lab]\nkey = "a"\nauthorities = ["b"]\n', "signers = 3", "[signers]\n[typo]\na = 1\n"],
)
def test_a_trust_file_that_is_none_is_refused(text, tmp_path):
    path = tmp_path / "trust.toml"
    path.write_text(text)
    assert reason_of(Trust.load, path) == "damaged"


@pytest.mark.parametrize("text", ["", "[]", "{}", "\x00", '{"_type": 3}', "[" * 100_000, '{"a": 1}\n{"b"'])
def test_damaged_records_are_refused(text, policy):
    (policy / RECORDS).write_text(text)
    assert reason_of(Line.load, policy) in ("damaged", "unrecorded")


@pytest.mark.slow
def test_a_training_from_demonstrations_is_repeated_bit_for_bit_from_its_record(tmp_path):
    def done(*command):
        result = embodied(*command)
        assert result.returncode == 0, result.stderr
        return result.stdout

    shown, first, second = (tmp_path / name for name in ("shown", "first", "second"))
    done("collect", "Signpost-v0", shown, "--player", "heuristic", "--episodes", "2", "--worlds", "2", "--seed", "9")
    small = ["--steps", "32", "--n-envs", "2", "--n-steps", "16", "--batch-size", "16", "--threads", "1"]
    network = ["--layers", "1", "--width", "16", "--cloning-epochs", "1"]
    done("train", "Signpost-v0", *small, *network, "--demonstrations", shown, "--seed", "5", "--run", first)
    record = Line.load(first / "policy").record
    assert record.origin.activity.settings["demonstrations"] == "shown"
    (parent,) = record.origin.parents
    assert (parent.role, parent.digest.sha256) == ("demonstrations", sha256_of_artifact(shown))
    assert "seeds 5, 9" in done("lineage", "verify", first)
    refused = embodied("lineage", "repeat", first, "--run", second)
    assert "--made-from" in refused.stderr
    again = embodied("lineage", "repeat", first, "--run", second, "--made-from", f"demonstrations={shown}")
    assert again.returncode == 0, again.stdout + again.stderr
    one, other = (sha256_of_artifact(folder / "policy") for folder in (first, second))
    assert one == other
    assert one in again.stdout
    assert Line.load(second / "policy").record.sha256 == one
    done("train", "Signpost-v0", "--resume", "--steps", "64", "--run", second)
    resumed = Line.load(second / "policy").record.origin
    assert resumed.activity.settings["steps"] == 64
    assert "steps was 32 up to a checkpoint" in resumed.note
    assert resumed.parents == record.origin.parents
    assert (
        str(tmp_path) not in (second / "policy" / RECORDS).read_text() + (second / "policy" / "policy.json").read_text()
    )


def test_logs_are_recorded_afterwards_and_signed_from_the_command_line(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("time,angle\n0,0.5\n")
    told = [
        "--activity",
        "record",
        "--agent",
        "robot 7",
        "--when",
        "2026-03-01T10:00:00Z",
        "--note",
        "of the first arm",
    ]
    done = embodied("lineage", "record", log, *told)
    assert done.returncode == 0, done.stderr
    did = Line.load(log).record.origin
    assert (did.activity.agent, did.activity.finished) == ("robot 7", "2026-03-01T10:00:00Z")
    assert "recorded afterwards" in did.note
    assert records_of(log).name == f"log.csv.{RECORDS}"
    again = embodied("lineage", "record", log, *told)
    assert again.returncode == 2
    assert "not rewritten" in again.stderr
