"""A model in which nearly every field of MuJoCo has an effect, and how its fields are written in a spec."""

import mujoco
import numpy as np

XML = """<mujoco><compiler autolimits="true"/>
<option timestep="0.004" integrator="implicitfast" cone="elliptic"
 wind="1 .5 0" density="1.2" viscosity=".01" magnetic="0 -.5 .1"/>
<visual><map znear=".01"/><quality shadowsize="0" offsamples="0"/></visual>
<asset><texture name="check" type="2d" builtin="checker" rgb1=".2 .3 .4" rgb2=".8 .7 .6" width="32" height="32"/>
<material name="floor" texture="check" texrepeat="3 3" reflectance=".1" texuniform="true"/>
<material name="paint" rgba=".8 .3 .2 1" specular=".3" shininess=".4" emission=".1"/></asset>
<worldbody>
<light name="lamp" pos=".5 .3 2" dir="-.1 -.1 -1" diffuse=".6 .6 .6" specular=".4 .4 .4" ambient=".1 .1 .1" type="spot"
 cutoff="40" exponent="5" attenuation="1 .1 .05" castshadow="false"/>
<camera name="eye" pos="0 -1.6 1.1" quat=".88 .47 0 0" fovy="55"/>
<camera name="cal" pos=".3 -1.6 1.1" quat=".88 .47 0 0" resolution="64 48" sensorsize=".0064 .0048"
 focal=".006 .0065" principal=".0003 -.0002"/>
<geom name="floor" type="plane" size="2 2 .1" material="floor"/>
<geom name="post" type="cylinder" size=".1 .2" pos=".6 .1 .2" rgba=".2 .7 .3 1"/>
<body name="arm" pos="0 0 .5"><inertial pos=".15 .01 0" mass=".9" diaginertia=".004 .02 .02"/>
 <joint name="sh" axis="0 1 0" damping=".2 .01" armature=".01" frictionloss=".02" range="-8 10" stiffness="1 .1"
  springref="5" actuatorfrcrange="-.7 .7"/>
 <geom name="upper" type="capsule" size=".03 .15" pos=".15 0 0" quat=".7 0 .71 0" material="paint"/>
 <site name="tip" pos=".3 0 0" size=".02" rgba="1 1 0 1"/>
 <body name="fore" pos=".3 0 0"><inertial pos=".1 0 .01" quat=".995 -.004 .043 .087" mass=".3"
  diaginertia=".001 .002 .002"/>
  <joint name="el" axis="0 1 .1" damping=".05" margin=".01" range="-90 90" pos=".01 0 0" ref="7"/>
  <geom name="fore" type="box" size=".1 .02 .03" pos=".1 0 0" gap=".001" margin=".004"/>
  <site name="hand" type="box" size=".01 .02 .03" pos=".2 0 0" quat=".996 0 .09 0"/>
  <camera name="wrist" pos=".1 0 .1" quat=".97 0 .26 0"/></body></body>
<body name="ball" pos=".35 .02 .9"><inertial pos="0 0 0" mass=".2" diaginertia="4e-4 4e-4 4e-4"/><freejoint name="bf"/>
 <geom name="ball" size=".07" friction=".7 .01 .001" condim="6" solref=".01 .9" margin=".02" gap=".01"/></body>
<body name="crate" pos="-.3 .2 .3" quat=".98 .09 .17 .02" gravcomp=".1" simple="false">
 <inertial pos="0 .001 0" mass=".5" diaginertia=".002 .0015 .001"/><freejoint name="cf"/>
 <geom name="crate" type="box" size=".06 .08 .05" fluidshape="ellipsoid"/></body>
<body name="egg" pos="0 -.4 .3"><inertial pos="0 0 0" mass=".3" diaginertia="6e-4 5e-4 4e-4"/><freejoint name="ef"/>
 <geom name="egg" type="ellipsoid" size=".05 .07 .09"/></body>
<body name="slider" pos=".2 .5 .3"><inertial pos="0 0 0" mass=".4" diaginertia="6e-4 6e-4 6e-4"/>
 <joint name="sl" type="slide" axis="1 0 0" damping="1"/><geom name="slider" type="box" size=".05 .05 .05"/>
 <site name="ss" pos="0 0 .05"/></body>
<body name="wag" pos="-.2 .6 .5"><inertial pos="0 0 -.1" mass=".2" diaginertia="8e-4 8e-4 1e-4"/>
 <joint name="wb" type="ball" stiffness=".3" damping=".02" range="0 50"/>
 <geom name="wag" type="capsule" size=".02 .1" pos="0 0 -.1"/></body>
<body name="chain" pos=".9 -.4 .6"><inertial pos="0 0 0" mass=".3" diaginertia="5e-4 4e-4 3e-4"/><freejoint name="chf"/>
 <geom name="chain" type="box" size=".04 .05 .06"/></body>
</worldbody>
<tendon><spatial name="cord" stiffness="5 .1" damping=".2 .01" springlength=".2 .5" range="0 .45" width=".01"
 rgba=".3 .3 .9 1" frictionloss=".1" margin=".01"><site site="tip"/><geom geom="post"/><site site="ss"/></spatial>
<fixed name="mix" armature=".01" range="-.3 .3" actuatorfrcrange="-.3 .3"><joint joint="sh" coef="1"/>
 <joint joint="el" coef="-.5"/></fixed></tendon>
<contact><pair name="pp" geom1="egg" geom2="floor" friction=".5 .4 .01 .001 .001" margin=".02" gap=".03"
 solreffriction=".03 1"/></contact>
<equality><connect name="con" body1="chain" anchor=".02 .01 .05"/>
 <joint name="je" joint1="sl" polycoef="0 .3 0 0 0" joint2="el"/></equality>
<actuator><motor name="m" joint="sh" gear="2" ctrlrange="-.8 .7" forcerange="-.6 .5" armature=".001" damping=".01"/>
 <position name="p" joint="el" kp="3" kv=".1"/>
 <general name="act" joint="sl" dyntype="filter" dynprm=".05" gainprm="4" biasprm="0 -1 -.1" biastype="affine"
  actrange="-.2 .3" ctrlrange="-.4 .3"/>
 <motor name="pull" tendon="mix" gear="-1"/>
 <motor name="crank" cranksite="hand" slidersite="ss" cranklength=".7"/>
 <muscle name="mus" joint="el" lengthrange="-1 1"/></actuator>
<sensor><accelerometer name="acc" site="hand"/><gyro name="gy" site="hand"/><force name="f" site="tip"/>
 <jointpos name="jp" joint="el" cutoff=".2"/><rangefinder name="rf" site="hand"/>
 <magnetometer name="mag" site="hand"/><touch name="to" site="hand"/><tendonpos name="tp" tendon="cord"/></sensor>
</mujoco>"""
STEPS = 200
OF_PREFIX = {
    "body": "bodies", "jnt": "joints", "dof": "joints", "geom": "geoms", "site": "sites", "cam": "cameras",
    "light": "lights", "mat": "materials", "pair": "pairs", "eq": "equalities", "tendon": "tendons",
    "actuator": "actuators", "sensor": "sensors",
}  # fmt: skip
RENAMED = {
    "jnt_solref": "solref_limit", "jnt_solimp": "solimp_limit", "dof_solref": "solref_friction",
    "dof_solimp": "solimp_friction", "tendon_solref_lim": "solref_limit", "tendon_solimp_lim": "solimp_limit",
    "tendon_solref_fri": "solref_friction", "tendon_solimp_fri": "solimp_friction",
    "tendon_lengthspring": "springlength", "qpos0": "ref", "qpos_spring": "springref",
}  # fmt: skip
POLY = ("jnt_stiffnesspoly", "dof_dampingpoly", "tendon_stiffnesspoly", "tendon_dampingpoly", "actuator_dampingpoly")
IN_DEGREES = ("jnt_range", "qpos0", "qpos_spring")


def compiled_with(model: mujoco.MjModel, field: str, element: str, row: int, values: np.ndarray) -> mujoco.MjModel:
    """The model compiled with a whole row of a field in its spec."""
    spec = mujoco.MjSpec.from_string(XML)
    if field.startswith("opt."):
        setattr(spec.option, field.removeprefix("opt."), values if len(values) > 1 else float(values[0]))
    elif field == "wrap_prm":
        old = ('joint="sh" coef="1"', 'joint="el" coef="-.5"')[row - 3]
        return mujoco.MjModel.from_xml_string(XML.replace(old, f'{old.partition(" ")[0]} coef="{values[0]}"'))
    elif field == "cam_intrinsic":
        spec.camera(element).focal_length, spec.camera(element).principal_length = values[:2], values[2:]
    else:
        _set(spec, model, field, element, values)
    return spec.compile()


def _set(spec: mujoco.MjSpec, model: mujoco.MjModel, field: str, element: str, values: np.ndarray) -> None:
    prefix, _, attribute = field.partition("_")
    kind = "joints" if field in ("qpos0", "qpos_spring") else OF_PREFIX[prefix]
    part = next(part for part in getattr(spec, kind) if part.name == element)
    if field in POLY:
        name = attribute.removesuffix("poly")
        setattr(part, name, [getattr(part, name)[0], *values])
        return
    if field in IN_DEGREES and not (kind == "joints" and part.type == mujoco.mjtJoint.mjJNT_SLIDE):
        values = np.degrees(values)
    if field in ("jnt_stiffness", "dof_damping", "tendon_stiffness", "tendon_damping", "actuator_damping"):
        values = np.concatenate([values, getattr(part, attribute)[1:]])
    name = RENAMED.get(field, attribute)
    setattr(part, name, values if np.ndim(getattr(part, name)) else float(values[0]))
    if field == "body_inertia":
        part.explicitinertial = True
