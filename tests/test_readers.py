"""Logs as people have them: tables in many notations, datasets and bags, written by the libraries they come from."""

import json
from pathlib import Path

import numpy as np
import pytest

from embodied.errors import RecordingError, UnknownNameError
from embodied.sysid import LogMap, Recording
from embodied.sysid.readers.mapping import Columns, Time, read_map

T = np.arange(40) * 0.02
COMMAND = np.stack([np.sin(3 * T), 0.3 + np.cos(2 * T)], 1)
POSITION = 0.9 * COMMAND + 0.01


def columns() -> dict[str, np.ndarray]:
    named = {"time_s": T}
    for name, values in (("command", COMMAND), ("position", POSITION)):
        named |= {f"{name}[{k}]": values[:, k] for k in range(2)}
    return named


def check(recording: Recording, **close) -> None:
    np.testing.assert_allclose(recording.time_s - recording.time_s[0], T, atol=1e-6)
    np.testing.assert_allclose(recording.command, COMMAND, **(close or {"atol": 1e-6}))
    np.testing.assert_allclose(recording.signal("position"), POSITION, **(close or {"atol": 1e-6}))


NOTATIONS = {
    "commas": {},
    "semicolons": {"sep": ";"},
    "tabs": {"sep": "\t"},
    "bars": {"sep": "|"},
    "white space": {"sep": "   "},
    "spaces after commas": {"sep": ", "},
    "decimal commas": {"sep": ";", "decimal": ","},
    "a byte order mark": {"encoding": "utf-8-sig"},
    "utf-16": {"encoding": "utf-16"},
    "windows": {"end": "\r\n"},
    "separators at the ends of lines": {"tail": ","},
    "comments": {"head": "# made by hand\n#\n"},
    "empty lines": {"end": "\n\n"},
    "quotes": {"quote": '"'},
}


def text_of(table, sep=",", decimal=".", end="\n", tail="", head="", quote="", names=True) -> str:
    rows = [[f"{value:.9g}".replace(".", decimal) for value in row] for row in zip(*table.values(), strict=True)]
    if names:
        rows.insert(0, [f"{quote}{name}{quote}" for name in table])
    return head + end.join(sep.join(row) + tail for row in rows) + end


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_table_is_read_in_any_notation(tmp_path, notation):
    style = dict(NOTATIONS[notation])
    encoding = style.pop("encoding", "utf-8")
    (tmp_path / "log.csv").write_bytes(text_of(columns(), **style).encode(encoding))
    check(Recording.load(tmp_path / "log.csv"))


def test_cells_without_a_value_are_not_numbers_and_columns_of_words_are_left_out(tmp_path):
    rows = ["time_s,command[0],position[0],mode", "0,1,2,run", "1,1,,run", "2,1,NaN,hold", "3,1,null,run"]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    recording = Recording.load(tmp_path / "log.csv")
    assert np.isnan(recording.signal("position")[:, 0]).tolist() == [False, True, True, True]
    assert list(recording.signals) == ["position"]


def test_a_table_without_a_header_needs_a_map_and_is_read_with_one(tmp_path):
    table = {"stamp": 1e9 * T + 5e12, "a": np.degrees(COMMAND[:, 0]), "b": np.degrees(COMMAND[:, 1])}
    counts = (POSITION - [0.1, 0.2]) * 4096 / (2 * np.pi) + [2048, 1000]
    table |= {"c": -counts[:, 0], "d": counts[:, 1]}
    (tmp_path / "log.txt").write_text(text_of(table, sep=" ", names=False))
    with pytest.raises(UnknownNameError, match="--map FILE"):
        Recording.load(tmp_path / "log.txt")
    (tmp_path / "map.toml").write_text(
        """
        [time]
        column = 0
        unit = "ns"
        [command]
        columns = [1, 2]
        unit = "degrees"
        [signals.position]
        columns = [3, 4]
        unit = "counts"
        counts_per_turn = 4096
        sign = [-1, 1]
        offset = [-2048, 1000]
        [metadata]
        gain = 0.5
        """
    )
    recording = Recording.load(tmp_path / "log.txt", tmp_path / "map.toml")
    np.testing.assert_allclose(recording.time_s, T, atol=1e-6)
    np.testing.assert_allclose(recording.command, COMMAND, atol=1e-6)
    np.testing.assert_allclose(recording.signal("position"), POSITION - [0.1, 0.2], atol=1e-6)
    assert dict(recording.units) == {"command": "rad", "position": "rad"}
    assert dict(recording.metadata) == {"gain": 0.5}


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("[time]\ncolumn = 0\n[signals]\n[extra]", RecordingError, "unknown field"),
        ("[signals.position]\ncolumns = 3", RecordingError, "time"),
        ("[time]\ncolumn = 'x'\n[signals.position]\ncolumns = 'p'\nunit = 'parsec'", UnknownNameError, "parsec"),
        ("not toml", RecordingError, "no map"),
    ],
)
def test_a_map_that_is_none_is_refused(tmp_path, text, error, message):
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(error, match=message):
        read_map(tmp_path / "map.toml")


def test_a_map_that_does_not_fit_says_what_there_is(tmp_path):
    (tmp_path / "log.csv").write_text("t,q\n0,1\n1,2\n")
    for log_map, message in (
        (LogMap(Time("t"), {"position": Columns("p")}), "'p'"),
        (LogMap(Time("t"), {"position": Columns(7)}), "number of a column"),
        (LogMap(Time("t", "parsec"), {"position": Columns("q")}), "unit"),
        (LogMap(Time(), {"position": Columns("q")}), "rows there are per second"),
        (LogMap(Time("t"), {"position": Columns("q", sign=[1, 2])}), "2 numbers for 1"),
        (LogMap(Time("t"), {"position": Columns("q", "counts")}), "counts_per_turn"),
    ):
        with pytest.raises((RecordingError, UnknownNameError), match=message):
            Recording.load(tmp_path / "log.csv", log_map)


arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["timestamp", "duration"])
def test_times_and_durations_of_parquet_are_seconds(tmp_path, unit, kind):
    scale = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit]
    stamps = (1_700_000_000 * int(scale)) + np.arange(5, dtype=np.int64) * int(scale)
    typed = getattr(arrow, kind)(unit)
    table = arrow.table({"time_s": arrow.array(stamps, typed), "command[0]": T[:5], "position[0]": T[:5]})
    parquet.write_table(table, tmp_path / "log.parquet")
    np.testing.assert_allclose(np.diff(Recording.load(tmp_path / "log.parquet").time_s), 1.0)


def test_lists_nulls_and_structs_of_parquet_are_columns(tmp_path):
    lists = arrow.array(POSITION.tolist()).cast(arrow.list_(arrow.float32()))
    inner = arrow.StructArray.from_arrays([arrow.array([None, *T[1:]])], ["volts"])
    table = arrow.table({"t": T, "q": lists, "u": arrow.array(COMMAND.tolist()), "power": inner, "name": ["x"] * 40})
    parquet.write_table(table, tmp_path / "log.parquet")
    log_map = LogMap(Time("t"), {"position": Columns("q[*]"), "volts": Columns("power.volts", "V")}, Columns("u[*]"))
    recording = Recording.load(tmp_path / "log.parquet", log_map)
    check(recording)
    assert np.isnan(recording.signal("volts")[0, 0])


def lerobot_rows(episode: int) -> dict[str, object]:
    return {
        "action": COMMAND.astype(np.float32).tolist(),
        "observation.state": POSITION.astype(np.float32).tolist(),
        "timestamp": T.astype(np.float32),
        "frame_index": np.arange(40),
        "episode_index": np.full(40, episode),
    }


def info(version: str) -> str:
    names = {"motors": ["pan", "lift"]}
    return json.dumps(
        {"codebase_version": version, "robot_type": "so101", "fps": 50, "features": {"action": {"names": names}}}
    )


def test_a_lerobot_dataset_of_format_2_1_is_read_episode_by_episode(tmp_path):
    chunk = tmp_path / "data" / "chunk-000"
    chunk.mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(info("v2.1"))
    for episode in range(3):
        parquet.write_table(arrow.table(lerobot_rows(episode)), chunk / f"episode_{episode:06d}.parquet")
    recordings = Recording.load_all(tmp_path)
    assert [r.metadata["label"] for r in recordings] == ["episode 0", "episode 1", "episode 2"]
    check(recordings[1])
    assert recordings[0].metadata["names"] == ["pan", "lift"]
    with pytest.raises(RecordingError, match="holds 3 recordings"):
        Recording.load(tmp_path)
    check(Recording.load(chunk / "episode_000002.parquet"))


def test_a_lerobot_dataset_of_format_3_has_its_episodes_in_one_file(tmp_path):
    chunk = tmp_path / "data" / "chunk-000"
    chunk.mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text(info("v3.0"))
    both = arrow.concat_tables([arrow.table(lerobot_rows(episode)) for episode in (4, 7)])
    parquet.write_table(both, chunk / "file-000.parquet")
    recordings = Recording.load_all(tmp_path)
    assert [r.metadata["label"] for r in recordings] == ["episode 4", "episode 7"]
    check(recordings[1])
    (tmp_path / "meta" / "info.json").write_text(info("v9.0"))
    with pytest.raises(RecordingError, match=r"v9.0 is not known; known: v2.1, v3.0"):
        Recording.load_all(tmp_path)


JOINT_STATE = """std_msgs/Header header
string[] name
float64[] position
float64[] velocity
float64[] effort
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""


def joint_state(t: float, positions, velocities=()) -> dict[str, object]:
    stamp = {"sec": 1_700_000_000 + int(t), "nanosec": round((t % 1) * 1e9)}
    header = {"stamp": stamp, "frame_id": ""}
    names = ["pan", "lift"]
    return {"header": header, "name": names, "position": list(positions), "velocity": list(velocities), "effort": []}


def write_mcap(path: Path) -> None:
    from mcap_ros2.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file)
        schema = writer.register_msgdef("sensor_msgs/msg/JointState", JOINT_STATE)
        for t, command, position in zip(T, COMMAND, POSITION, strict=True):
            stamp = 5_000_000_000 + int(1e9 * t)
            writer.write_message("/joint_commands", schema, joint_state(t, command), stamp)
            writer.write_message("/joint_states", schema, joint_state(t, position, 2 * position), stamp)
        writer.finish()


def test_an_mcap_file_of_ros_2_gives_commands_and_measurements_on_one_time(tmp_path):
    pytest.importorskip("mcap_ros2")
    write_mcap(tmp_path / "log.mcap")
    recording = Recording.load(tmp_path / "log.mcap")
    check(recording)
    np.testing.assert_allclose(recording.signal("velocity"), 2 * POSITION)
    assert recording.units["velocity"] == "rad/s"
    assert recording.metadata["joints"] == ["pan", "lift"]


def test_an_mcap_file_of_json_is_read_alike_and_held_commands_are_held(tmp_path):
    pytest.importorskip("mcap")
    from mcap.writer import Writer

    with (tmp_path / "log.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        topics = ("/cmd", "/joint_states")
        ids = [writer.register_channel(topic, "json", 0) for topic in topics]
        for k, t in enumerate(T):
            stamp = int(1e9 * t)
            if k % 4 == 0:
                body = json.dumps({"name": ["pan"], "position": [COMMAND[k, 0]]})
                writer.add_message(ids[0], stamp, body.encode(), stamp)
            body = json.dumps({"name": ["pan"], "position": [POSITION[k, 0]]})
            writer.add_message(ids[1], stamp, body.encode(), stamp)
        writer.finish()
    recording = Recording.load(tmp_path / "log.mcap")
    np.testing.assert_allclose(recording.command[:, 0], COMMAND[np.arange(40) // 4 * 4, 0])
    np.testing.assert_allclose(recording.signal("position")[:, 0], POSITION[:, 0])


@pytest.mark.parametrize("version", ["ros1", "ros2"])
def test_a_bag_gives_commands_and_measurements_on_one_time(tmp_path, version):
    pytest.importorskip("rosbags")
    from rosbags.rosbag1 import Writer as Writer1
    from rosbags.rosbag2 import Writer as Writer2
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS1_NOETIC if version == "ros1" else Stores.LATEST)
    state, header = store.types["sensor_msgs/msg/JointState"], store.types["std_msgs/msg/Header"]
    stamp_of = store.types["builtin_interfaces/msg/Time"]
    path = tmp_path / ("log.bag" if version == "ros1" else "log")
    with Writer1(path) if version == "ros1" else Writer2(path, version=9) as writer:
        topics = {
            topic: writer.add_connection(topic, "sensor_msgs/msg/JointState", typestore=store)
            for topic in ("/joint_states", "/arm/command")
        }
        for t, command, position in zip(T, COMMAND, POSITION, strict=True):
            for topic, values in (("/arm/command", command), ("/joint_states", position)):
                stamp = stamp_of(sec=100 + int(t), nanosec=round((t % 1) * 1e9))
                fields = (
                    {"header": header(stamp=stamp, frame_id="")}
                    if version == "ros2"
                    else {"header": header(seq=0, stamp=stamp, frame_id="")}
                )
                message = state(
                    **fields, name=["pan", "lift"], position=values, velocity=np.zeros(0), effort=np.zeros(0)
                )
                raw = (store.serialize_ros1 if version == "ros1" else store.serialize_cdr)(
                    message, "sensor_msgs/msg/JointState"
                )
                writer.write(topics[topic], int(1e9 * t) + 1, raw)
    check(Recording.load(path))


def test_hdf5_json_and_matlab_files_are_read_with_a_map(tmp_path):
    h5py = pytest.importorskip("h5py")
    from scipy.io import savemat

    with h5py.File(tmp_path / "log.h5", "w") as file:
        file["arm/q"], file["arm/u"], file["t"], file["name"] = POSITION, COMMAND, T, "x"
        file.attrs["gain"] = 3.0
    log_map = LogMap(Time("t"), {"position": Columns("arm/q[*]")}, Columns("arm/u[*]"))
    recording = Recording.load(tmp_path / "log.h5", log_map)
    check(recording)
    assert recording.metadata["gain"] == 3.0
    savemat(tmp_path / "log.mat", {"t": T[None], "q": POSITION.T, "u": COMMAND, "note": "hello"})
    check(Recording.load(tmp_path / "log.mat", LogMap(Time("t"), {"position": Columns("q[*]")}, Columns("u[*]"))))
    records = [{"t": t, "state": {"q": list(q)}, "u": list(u)} for t, q, u in zip(T, POSITION, COMMAND, strict=True)]
    (tmp_path / "log.json").write_text(json.dumps(records))
    flat = LogMap(Time("t"), {"position": Columns("state.q[*]")}, Columns("u[*]"))
    check(Recording.load(tmp_path / "log.json", flat))


def test_logs_of_known_kinds_need_no_map(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "log.hdf5", "w") as file:
        file["action"], file["observations/qpos"] = COMMAND, POSITION
    check(Recording.load(tmp_path / "log.hdf5"))
    entries = [
        {"timestamp": t, "goal_position": u[0], "position": q[0], "speed": 0.0, "torque_enable": True}
        for t, q, u in zip(T, POSITION, COMMAND, strict=True)
    ]
    (tmp_path / "log.json").write_text(json.dumps({"kp": 100, "vin": 7.4, "entries": entries}))
    recording = Recording.load(tmp_path / "log.json")
    assert (recording.metadata["kp"], recording.units["command"]) == (100, "rad")
    np.testing.assert_allclose(recording.command[:, 0], COMMAND[:, 0])


def test_a_map_can_name_the_joints_in_the_order_that_is_wanted(tmp_path):
    table = {"t": T, "q/lift": POSITION[:, 1], "q/pan": POSITION[:, 0], "u/pan": COMMAND[:, 0], "u/lift": COMMAND[:, 1]}
    (tmp_path / "log.csv").write_text(text_of(table))
    log_map = LogMap(Time("t"), {"position": Columns("q/{joint}")}, Columns("u/{joint}"), ["pan", "lift"])
    check(Recording.load(tmp_path / "log.csv", log_map))


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz", ".json", ".h5", ".mat", ".mcap", ".bag"])
def test_a_file_of_noise_is_refused_in_one_line(tmp_path, suffix):
    for k, noise in enumerate((b"", b"\0" * 300, np.random.default_rng(0).bytes(2000), b"PAR1" * 50)):
        file = tmp_path / f"{k}{suffix}"
        file.write_bytes(noise)
        with pytest.raises((RecordingError, UnknownNameError)) as refusal:
            Recording.load(file)
        assert "\n" not in str(refusal.value)


def test_dates_with_a_gap_and_decimal_commas_without_a_header_are_read(tmp_path):
    rows = ["time_s,position[0]", "2024-01-01 00:00:01,1", ",2", "2024-01-01 00:00:03.5,3"]
    (tmp_path / "log.csv").write_text("\n".join(rows))
    with pytest.raises(RecordingError, match="not numbers"):  # a time that is missing is no time
        Recording.load(tmp_path / "log.csv")
    (tmp_path / "log.tsv").write_text("0,00\t0,10\t5\n0,02\t0,20\t6\n0,04\t0,3\t7\n")
    recording = Recording.load(tmp_path / "log.tsv", LogMap(Time(0), {"position": Columns([1, 2])}))
    np.testing.assert_allclose(recording.signal("position"), [[0.1, 5], [0.2, 6], [0.3, 7]])
    (tmp_path / "some.csv").write_text("time_s;command[0];position[0]\n0;0;0\n1;0,5;0,25\n2;0;1\n")
    np.testing.assert_allclose(Recording.load(tmp_path / "some.csv").signal("position")[:, 0], [0, 0.25, 1])


def test_columns_without_a_name_are_left_out_and_brackets_without_a_number_are_named(tmp_path):
    (tmp_path / "log.csv").write_text(",time_s,position[0]\n0,0,1\n1,1,2\n")
    assert list(Recording.load(tmp_path / "log.csv").signals) == ["position"]
    (tmp_path / "log.csv").write_text("time_s,position[0],temp [C]\n0,0,1\n1,1,2\n")
    with pytest.raises(RecordingError, match=r"'temp \[C\]' of log.csv cannot name a signal"):
        Recording.load(tmp_path / "log.csv")


def test_odd_columns_do_not_spoil_a_log(tmp_path):
    table = arrow.table({"time_s": T, "command[0]": T, "position[0]": T, "tokens": [[1]] * 39 + [[1, 2]]})
    parquet.write_table(table, tmp_path / "log.parquet")
    assert list(Recording.load(tmp_path / "log.parquet").signals) == ["position"]
    records = [{"t": t, "q": [t, 2 * t]} for t in T.tolist()]
    del records[3]["q"]
    (tmp_path / "log.json").write_text(json.dumps(records))
    recording = Recording.load(tmp_path / "log.json", LogMap(Time("t"), {"position": Columns("q[*]")}))
    assert np.isnan(recording.signal("position")).any(axis=1).nonzero()[0].tolist() == [3]


def test_an_mcap_file_begins_with_the_first_command_and_takes_no_measurement_for_one(tmp_path):
    pytest.importorskip("mcap")
    from mcap.writer import Writer

    with (tmp_path / "log.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        ids = {t: writer.register_channel(t, "json", 0) for t in ("/joint_states", "/encoder/states", "/arm/target")}
        for k, t in enumerate(T):
            for topic, joints in (
                ("/encoder/states", ["pan", "lift"]),
                ("/joint_states", ["pan", "lift"]),
                ("/arm/target", ["lift"]),
            ):
                if topic != "/arm/target" or k >= 10:
                    body = json.dumps({"name": joints, "position": [t + len(topic)] * len(joints)})
                    writer.add_message(ids[topic], int(1e9 * t) + (k == 0), body.encode(), 0)
        writer.finish()
    recording = Recording.load(tmp_path / "log.mcap")
    assert len(recording) == 30
    assert recording.metadata["joints"] == ["lift"]
    np.testing.assert_allclose(recording.command[:, 0], T[10:] + len("/arm/target"))
