"""Models from files: MJCF and URDF, read with errors that say how to mend them.

A URDF keeps its visual shapes, which MuJoCo drops by default, and its `package://` addresses are resolved.
"""

from __future__ import annotations

import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import mujoco

from embodied.errors import ModelError, ModelWarning, OptionError
from embodied.physics.extent import check_extent

MOST_BYTES = 64 << 20  # of an XML file
SHORTEST, LONGEST = 1e-7, 10.0  # s, of a time step
MESHES = (".stl", ".obj", ".msh")  # what MuJoCo reads
SCHEMES = ("package://", "model://", "file://")
NO_PACKAGES: Mapping[str, Path] = MappingProxyType({})
T = TypeVar("T")


def read_spec(path: Path | str, packages: Mapping[str, Path] = NO_PACKAGES, *, visuals: bool = True) -> mujoco.MjSpec:
    """Returns the spec of an MJCF or URDF file.

    Args:
        packages: folders of ROS packages by name, for addresses such as `package://robot/meshes/arm.stl`; a package
            that is not named is looked for among the folders above the file.
        visuals: whether the visual shapes of a URDF are kept; those whose mesh is missing, or is of a kind that MuJoCo
            does not read, are left out with a `ModelWarning`.

    Raises:
        ModelError: there is no such file, it is damaged, or it refers to files that are missing.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no model at {path}" + (" (it is a folder)" if path.is_dir() else ""))
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path} is larger than {MOST_BYTES >> 20} MiB, which no robot description is")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    if _root(text) == "robot":
        try:
            return _urdf(path, text, packages, visuals)
        except RecursionError:
            raise ModelError(f"{path} is nested too deeply") from None
    check_extent(path, text)
    return _guarded(path, lambda: mujoco.MjSpec.from_file(str(path)))


def read_model(path: Path | str, packages: Mapping[str, Path] = NO_PACKAGES, *, visuals: bool = True) -> mujoco.MjModel:
    """Returns the compiled model of an MJCF or URDF file; arguments and errors as in `read_spec`."""
    return compile_spec(read_spec(path, packages, visuals=visuals), path)


def packages_of(given: Iterable[str]) -> dict[str, Path]:
    """Folders of packages by name, from words such as `robot_description=/path/to/it`.

    Raises:
        OptionError: a word of another form, or a folder that is not there.
    """
    packages = {}
    for word in given:
        name, _, folder = word.partition("=")
        if not name or not Path(folder).is_dir() or not folder:
            raise OptionError(f"{word!r} names no package: write NAME=DIR, with a folder that is there")
        packages[name] = Path(folder)
    return packages


def compile_spec(spec: mujoco.MjSpec, what: Path | str) -> mujoco.MjModel:
    """Compiles a spec.

    Raises:
        ModelError: MuJoCo does not compile it, or no time passes in it; the message begins with `what`.
    """
    step = spec.option.timestep
    if not SHORTEST <= step <= LONGEST:
        raise ModelError(f"{what} has a time step of {step:g} s, which is not from {SHORTEST:g} to {LONGEST:g}")
    return _guarded(what, spec.compile)


def _guarded(what: Path | str, make: Callable[[], T]) -> T:
    """Turns MuJoCo's errors, of several types, into one of a single line."""
    try:
        return make()
    except (ValueError, TypeError, MemoryError, RuntimeError, mujoco.FatalError) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"MuJoCo does not load {what}: {message}") from error


def _root(text: str) -> str:
    """The tag of the outermost element."""
    found = re.search(r"<([A-Za-z_][\w.-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL))
    return found.group(1) if found else ""


def _urdf(path: Path, text: str, packages: Mapping[str, Path], visuals: bool) -> mujoco.MjSpec:
    try:
        robot = ET.fromstring(re.sub(r"<(/?)(\w+):(\w)", r"<\1\2_\3", text))  # prefixes need no declaration
    except (ET.ParseError, ValueError) as error:
        raise ModelError(f"{path} is no URDF: {error}") from error
    if any(element.tag.startswith("xacro_") for element in robot.iter()):
        raise ModelError(f"{path} is a xacro file: expand it first, with `xacro {path.name} > robot.urdf`")
    assets = _resolve_meshes(path, robot, packages, visuals)
    compiler = _child(_child(robot, "mujoco"), "compiler")
    for name in ("meshdir", "assetdir"):
        compiler.attrib.pop(name, None)  # the files are handed over
    compiler.set("strippath", "false")
    compiler.attrib.setdefault("fusestatic", "false")  # so that the links keep their names
    compiler.set("discardvisual", "false" if visuals else "true")
    xml = ET.tostring(robot, encoding="unicode")
    return _guarded(path, lambda: mujoco.MjSpec.from_string(xml, assets=assets))


def _child(parent: ET.Element, tag: str) -> ET.Element:
    """The first child with a tag, made if there is none."""
    found = parent.find(tag)
    return ET.SubElement(parent, tag) if found is None else found


def _resolve_meshes(path: Path, robot: ET.Element, packages: Mapping[str, Path], visuals: bool) -> dict[str, bytes]:
    """Gives each mesh file a name of its own, and leaves out visual shapes whose mesh cannot be read.

    MuJoCo calls meshes by the last part of their address, which visual and collision meshes often share.

    Returns:
        The files by these names.
    """
    names: dict[Path, str] = {}
    compiler = robot.find("mujoco/compiler")
    folders = [path.parent]
    if compiler is not None:
        folders += [path.parent / compiler.get(name, "") for name in ("meshdir", "assetdir")]
    left_out, missing = [], []
    for link, shape, mesh in list(_meshes(robot)):
        address = mesh.get("filename", "")
        found, trouble = _find(address, folders, path, packages)
        suffix = "" if found is None else found.suffix
        if found is not None and suffix.lower() not in MESHES:
            found, trouble = None, f"MuJoCo reads {', '.join(MESHES)}, not {suffix or 'files without a suffix'}"
        if found is not None:
            mesh.set("filename", names.setdefault(found, f"{len(names)}_{found.name}"))
        elif shape.tag == "visual":
            link.remove(shape)
            left_out += [f"{address} ({trouble})"] if visuals else []
        else:
            missing.append(f"{address} ({trouble})")
    if missing:
        raise ModelError(f"{path}: meshes of collision shapes are missing: {_listed(missing)}")
    if left_out:
        warnings.warn(f"{path}: visual shapes left out: {_listed(left_out)}", ModelWarning, stacklevel=4)
    return {name: file.read_bytes() for file, name in names.items()}


def _meshes(robot: ET.Element) -> Iterator[tuple[ET.Element, ET.Element, ET.Element]]:
    """Every mesh, with its shape and its link."""
    for link in robot.iter("link"):
        for shape in [*link.findall("visual"), *link.findall("collision")]:
            for mesh in shape.iter("mesh"):
                yield link, shape, mesh


def _find(address: str, folders: list[Path], urdf: Path, packages: Mapping[str, Path]) -> tuple[Path | None, str]:
    """Where a mesh is, or why it is not found."""
    scheme = next((scheme for scheme in SCHEMES if address.startswith(scheme)), "")
    rest = Path(address.removeprefix(scheme))
    if scheme in ("package://", "model://"):
        name, *inside = rest.parts or ("",)
        folder = packages.get(name) or _package_above(urdf, name)
        if folder is None:
            return None, f"package {name!r} is not known: give its folder with --package {name}=DIR"
        candidates = [Path(folder, *inside)]
    elif rest.is_absolute():
        candidates = [rest]
    else:  # MuJoCo itself looks for the bare name beside the file
        candidates = [folder / part for part in (rest, rest.name) for folder in folders]
    found = next((candidate.resolve() for candidate in candidates if candidate.is_file()), None)
    return found, "" if found else f"no file {candidates[0]}"


def _package_above(urdf: Path, name: str) -> Path | None:
    """The nearest folder above a file that has the name of a package, or says in its `package.xml` that it is it."""
    for folder in urdf.resolve().parents:
        if folder.name == name:
            return folder
        manifest = folder / "package.xml"
        if manifest.is_file() and f"<name>{name}</name>" in manifest.read_text(encoding="utf-8", errors="replace"):
            return folder
    return None


def _listed(many: list[str], most: int = 3) -> str:
    """The first few of many."""
    several = list(dict.fromkeys(many))
    return "; ".join(several[:most]) + (f"; and {len(several) - most} more" if len(several) > most else "")
