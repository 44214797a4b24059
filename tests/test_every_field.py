"""Every quantity of a model that can be named either takes effect as if it had been compiled, or is refused."""

import copy

import mujoco
import mujoco.batch
import numpy as np
import pytest
from everything import STEPS, XML, compiled_with

from embodied.errors import OptionError
from embodied.physics.batch import VISIBLE, Batch
from embodied.physics.fields import can_vary
from embodied.physics.names import element_names, table_of
from embodied.physics.targets import Target, derive_if_needed, find_targets
from embodied.randomization.support import support_of_field

MODEL = mujoco.MjSpec.from_string(XML).compile()
FIELDS = sorted(field for field in mujoco.batch.MODEL_FIELDS if can_vary(MODEL, field) and not field.startswith("flex"))
SAME_FOR_A_JOINT = ("dof_damping", "dof_armature", "dof_frictionloss", "dof_solref", "dof_solimp", "dof_dampingpoly")


def motion(model: mujoco.MjModel, batch: Batch) -> np.ndarray:
    """What every world does under the same commands: states and sensors, `(N, steps, …)`."""
    rng, seen = np.random.default_rng(1), []
    batch.reset()
    batch.forward()
    names = ("qpos", "qvel", "sensordata", "ten_length", "actuator_force", "ncon")
    for step in range(STEPS):
        if step % 20 == 0:
            batch.array("ctrl")[:] = rng.uniform(-1.5, 1.5, model.nu)
        batch.step(1)
        seen.append(np.concatenate([batch.array(name).reshape(batch.n, -1) for name in names], axis=1))
    return np.array(seen).transpose(1, 0, 2)


def pictures(model: mujoco.MjModel, data: mujoco.MjData) -> np.ndarray:
    renderer = mujoco.Renderer(model, 48, 64)
    taken = []
    for camera in ("eye", "cal"):
        renderer.update_scene(data, camera)
        taken.append(renderer.render().copy())
    renderer.close()
    return np.array(taken)


def pictures_of(batch: Batch, world: int) -> np.ndarray:
    model = copy.copy(batch.model)
    batch.dress(model, world)
    return pictures(model, batch.render_pair(world)[1])


def changed(target: Target) -> np.ndarray:
    """Another row that is possible: a little larger, or something in place of nothing."""
    row = table_of(MODEL, target.field)[target.row].astype(float)
    support = support_of_field(MODEL, target.field, target.row)
    for factor, offset in ((1.3, 0.0), (1.3, 0.03), (0.8, 0.0), (0.9, -0.02)):
        other = np.where(row == 0, offset, factor * row) if target.field not in ("body_quat",) else row + 0.1
        if target.field.endswith("quat") or target.field in ("jnt_axis", "light_dir"):
            other = row + np.array([0.1, -0.2, 0.15, 0.05])[: len(row)]
            other /= np.linalg.norm(other)
        if (support is None or support.holds(other[None])[0]) and not np.array_equal(other, row):
            return other
    raise AssertionError(f"nothing else found for {target.name}")


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether pictures differ at few edges only, as the planes between which is drawn follow from the model's size."""
    return float(np.mean(np.abs(one.astype(int) - other) > 8)) < 0.005


REFERENCE = motion(MODEL, Batch(MODEL, 1, 1))[0]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_set_in_a_world_is_a_field_that_was_compiled(field):
    seen, shots = False, 0
    for target in find_targets(MODEL, field):
        element = element_names(MODEL, field)[target.row]
        if field in SAME_FOR_A_JOINT and "." in element:
            continue  # a spec has one value for all degrees of freedom of a joint
        values = changed(target)
        batch = Batch(MODEL, 2, 1)
        target.write(batch, values[None], np.array([1]))
        derive_if_needed(batch, [target])
        expected = compiled_with(MODEL, field, element, target.row, values)
        ours, theirs = motion(MODEL, batch), motion(expected, Batch(expected, 1, 1))
        np.testing.assert_array_equal(ours[0], REFERENCE)
        np.testing.assert_allclose(ours[1], theirs[0], rtol=1e-6, atol=1e-6, err_msg=target.name)
        seen |= not np.array_equal(ours[1], REFERENCE)
        if field.startswith(VISIBLE) and shots < 2:
            shots += 1
            data = mujoco.MjData(expected)
            mujoco.mj_forward(expected, data)
            batch.reset()
            shown = pictures_of(batch, 1)
            assert alike(shown, pictures(expected, data)), target.name
            seen |= not np.array_equal(shown, pictures_of(batch, 0))
    assert seen, f"{field} changes nothing"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("geom_rbound[ball]", "MuJoCo computes it"),
        ("sensor_noise[gy]", "declare an ErrorModel"),
        ("actuator_delay[m]", "declared as a Timing"),
        ("cam_ipd[eye]", "nothing reads it"),
        ("body_ipos[ball][0]", "simple='false'"),
        ("body_mass[world]", "fixed to the world"),
        ("tendon_armature[cord]", "wrap around geoms"),
        ("cam_fovy[cal]", "randomize cam_intrinsic"),
        ("cam_intrinsic[eye][0]", "randomize cam_fovy"),
        ("jnt_range[sl][0]", "it has no such limit"),
        ("jnt_axis[wb]", "it has no axis"),
        ("actuator_armature[crank]", "neither a joint nor a tendon"),
        ("actuator_cranklength[m]", "it has no crank"),
        ("actuator_lengthrange[m]", "it is no muscle"),
        ("eq_data[con]", "only when a model is compiled"),
        ("qpos0[bf.3]", "randomize body_pos or body_quat"),
    ],
)
def test_what_would_have_no_effect_is_refused_with_the_reason(pattern, why):
    with pytest.raises(OptionError, match=why):
        find_targets(MODEL, pattern)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("opt.wind[0]", "there is no fluid"),
        ("opt.magnetic[2]", "no sensor is a magnetometer"),
        ("actuator_dynprm[m][0]", "it has no dynamics"),
    ],
)
def test_what_a_plain_model_has_no_use_for_is_refused(pattern, why):
    plain = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint name='j'/><geom size='.1'/></body></worldbody>"
        "<actuator><motor name='m' joint='j'/></actuator></mujoco>"
    )
    with pytest.raises(OptionError, match=why):
        find_targets(plain, pattern)


def test_a_pattern_leaves_out_elements_in_which_it_would_have_no_effect():
    assert "body_mass[world]" not in [target.name for target in find_targets(MODEL, "body_mass[*]")]


def test_names_with_brackets_mean_themselves():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body name='a[1]'><joint name='j[0]' damping='2'/><geom size='.1'/></body>"
        "<body name='a1'><joint name='j0' damping='3'/><geom size='.1'/></body></worldbody></mujoco>"
    )
    assert [(t.name, t.nominal(model)[0]) for t in find_targets(model, "dof_damping[j[0]]")] == [
        ("dof_damping[j[0]]", 2.0)
    ]
    assert [t.columns for t in find_targets(model, "body_pos[a[1]][2]")] == [(2,)]
    assert [t.row for t in find_targets(model, "body_mass[a*]")] == [1, 2]


def test_controls_of_an_actuator_with_several_are_called_after_what_they_take():
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><joint name='a'/><geom size='.1'/></body></worldbody><actuator>"
        "<pid name='first' joint='a' kp='20' kv='2' input='pos vel ff'/><motor name='second' joint='a'"
        " ctrlrange='-.5 .5'/></actuator></mujoco>"
    )
    assert element_names(model, "actuator_ctrlrange") == ["first.pos", "first.vel", "first.ff", "second"]
    (target,) = find_targets(model, "actuator_ctrlrange[second]")
    assert target.row == 3
