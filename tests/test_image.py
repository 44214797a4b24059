"""The image chain does to light what a camera does, and a camera can be calibrated from pictures of a board."""

import mujoco
import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")

from embodied.errors import ModelError  # noqa: E402
from embodied.physics.render import open_renderer  # noqa: E402
from embodied.robot.cameras.calibrate import Board, calibrate  # noqa: E402
from embodied.robot.cameras.image import ImagePipeline, Lens, to_linear, to_srgb  # noqa: E402

RNG = np.random.default_rng(0)
QUIET = {"full_well": 1e12, "read_noise": 0.0}


def bits(height: int, width: int) -> np.ndarray:
    return RNG.integers(0, 2**64, height * width * 3, np.uint64)


def gray(level: int, size: int = 128) -> np.ndarray:
    return np.full((size, size, 3), level, np.uint8)


def test_srgb_and_linear_light_are_inverses():
    everything = np.arange(256, dtype=np.uint8)
    assert np.abs(to_srgb(to_linear(everything)).astype(int) - everything)[20:].max() <= 1


def test_a_quiet_chain_returns_the_picture():
    picture = RNG.integers(30, 255, (64, 64, 3), np.uint8)
    out = ImagePipeline(**QUIET).process([picture], bits(64, 64))
    assert np.abs(out.astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("level", "full_well", "read_noise"), [(128, 1000.0, 0.0), (128, 5000.0, 20.0), (90, 2000.0, 30.0)]
)
def test_noise_is_photons_and_readout(level, full_well, read_noise):
    chain = ImagePipeline(full_well=full_well, read_noise=read_noise)
    light = to_linear(gray(level))
    electrons = chain.sense(light, bits(128, 128)) * full_well
    expected = np.sqrt(light[0, 0, 0] * full_well + read_noise**2)
    assert electrons.std() == pytest.approx(expected, rel=0.03)
    assert electrons.mean() == pytest.approx(light[0, 0, 0] * full_well, rel=0.02)


def test_gain_amplifies_noise_with_the_signal_and_exposure_does_not():
    light = to_linear(gray(60))
    bright = ImagePipeline(gain=4.0, full_well=2000.0).sense(light, bits(128, 128))
    exposed = ImagePipeline(full_well=2000.0).sense(light * 4, bits(128, 128))
    assert bright.mean() == pytest.approx(exposed.mean(), rel=0.02)
    assert bright.std() == pytest.approx(2 * exposed.std(), rel=0.1)


def test_white_balance_scales_the_colors():
    out = to_linear(ImagePipeline(white_balance=(0.5, 1.0, 1.0), **QUIET).process([gray(150)], bits(128, 128)))
    assert out[..., 0].mean() == pytest.approx(0.5 * out[..., 1].mean(), rel=0.02)


def moving_edge(count: int, size: int = 60) -> list[np.ndarray]:
    """A bright vertical edge that moves from column 10 to column 50 within the frame's time."""
    frames = []
    for k in range(count):
        picture = gray(0, size)
        picture[:, : round(10 + 40 * k / (count - 1))] = 255
        frames.append(picture)
    return frames


def test_a_rolling_shutter_slants_a_moving_edge():
    out = ImagePipeline(readout=1.0, **QUIET).process(moving_edge(41), bits(60, 60))
    edge = (out[..., 0] > 127).sum(axis=1)
    assert edge[0] == pytest.approx(10, abs=1)
    assert edge[30] == pytest.approx(30, abs=2)
    assert edge[-1] == pytest.approx(50, abs=1)


def test_an_open_shutter_blurs_a_moving_edge_over_its_way():
    light = to_linear(ImagePipeline(shutter=0.5, **QUIET).process(moving_edge(41), bits(60, 60)))[30, :, 0]
    assert light[:29] == pytest.approx(1.0, abs=0.05)
    assert light[52:] == pytest.approx(0.0, abs=0.05)
    assert light[40] == pytest.approx(0.5, abs=0.1)


def test_distortion_moves_points_where_opencv_says():
    lens = Lens(200, 160, 180.0, 180.0, 100.0, 80.0, (-0.3, 0.05, 0.001, -0.001, 0.0))
    light = np.zeros((160, 200, 3), np.float32)
    place = np.array([[0.3, 0.2, 1.0]])
    straight = (lens.matrix @ place[0])[:2]
    cv2.circle(light, straight.round().astype(int).tolist(), 3, (1, 1, 1), -1)
    bent, _ = cv2.projectPoints(place, np.zeros(3), np.zeros(3), lens.matrix, np.array(lens.distortion))
    seen = lens.distort(light)[..., 0]
    y, x = np.mgrid[:160, :200]
    center = np.array([(x * seen).sum(), (y * seen).sum()]) / seen.sum()
    assert center == pytest.approx(bent.ravel(), abs=0.7)


def test_jpeg_loses_detail_as_its_quality_falls():
    picture = RNG.integers(0, 255, (64, 64, 3), np.uint8)
    loss = [
        np.abs(ImagePipeline(jpeg_quality=q, **QUIET).process([picture], bits(64, 64)).astype(int) - picture).mean()
        for q in (95, 50, 10)
    ]
    assert loss[0] < loss[1] < loss[2]


@pytest.mark.parametrize("wrong", [{"gain": 0.0}, {"shutter": 0.7, "readout": 0.5}, {"jpeg_quality": 101}])
def test_unphysical_chains_are_refused(wrong):
    with pytest.raises(ModelError):
        ImagePipeline(**wrong)


def photographs(lens: Lens, board: Board, count: int) -> list[np.ndarray]:
    """Pictures of the board from many sides through a distorting lens."""
    flat = board.opencv().generateImage((1400, 1000), marginSize=0)
    rng, out = np.random.default_rng(3), []
    across, down = board.across * board.square, board.down * board.square
    corners = np.array([[0, 0, 0], [across, 0, 0], [across, down, 0], [0, down, 0]])
    for _ in range(count):
        turn = rng.uniform(-0.45, 0.45, 3)
        center = np.array([across / 2, down / 2, 0])
        R, _ = cv2.Rodrigues(turn)
        shift = np.array([rng.uniform(-0.05, 0.05), rng.uniform(-0.04, 0.04), rng.uniform(0.38, 0.5)]) - R @ center
        seen = (lens.matrix @ (R @ corners.T + shift[:, None])).T
        target = (seen[:, :2] / seen[:, 2:]).astype(np.float32)
        source = np.array([[0, 0], [1400, 0], [1400, 1000], [0, 1000]], np.float32)
        picture = np.full((lens.height, lens.width), 200, np.uint8)
        warp = cv2.getPerspectiveTransform(source, target)
        cv2.warpPerspective(
            flat, warp, (lens.width, lens.height), dst=picture, borderMode=cv2.BORDER_TRANSPARENT, flags=cv2.INTER_AREA
        )
        light = lens.distort(to_linear(np.repeat(picture[..., None], 3, axis=2)))
        out.append(to_srgb(np.clip(light, 0, 1)))
    return out


def test_a_camera_is_calibrated_from_pictures_of_a_board():
    board = Board()
    lens = Lens(640, 480, 600.0, 600.0, 325.0, 235.0, (-0.2, 0.05, 0.0, 0.0, 0.0))
    found = calibrate(photographs(lens, board, 12), board)
    assert found.error < 0.5
    x, y = np.meshgrid(np.linspace(-0.25, 0.25, 9), np.linspace(-0.2, 0.2, 9))
    rays = np.stack([x.ravel(), y.ravel(), np.ones(x.size)], axis=1)
    true, seen = (
        cv2.projectPoints(rays, np.zeros(3), np.zeros(3), each.matrix, np.array(each.distortion))[0].reshape(-1, 2)
        for each in (lens, found.lens)
    )
    assert found.lens.fx == pytest.approx(600.0, rel=0.02)
    assert np.abs(true - seen - (true - seen).mean(axis=0)).max() < 3.0
    with pytest.raises(ModelError, match="recognized in 0 pictures"):
        calibrate([gray(100)] * 5, board)


def rendered_places(lens: Lens, points: np.ndarray) -> np.ndarray:
    """Where small balls at `points (n, 3)` of OpenCV's camera frame fall in the lens's picture [pixels], `(n, 2)`."""
    attributes = " ".join(f'{k}="{v}"' for k, v in lens.mjcf().items())
    balls = "".join(f"<geom size='.004' pos='{x} {-y} {-z}' rgba='1 1 1 1'/>" for x, y, z in points)
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><visual><headlight ambient='1 1 1' diffuse='0 0 0'/><quality shadowsize='0' offsamples='8'/></visual>"
        f"<worldbody><camera name='c' {attributes}/>{balls}</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = open_renderer(model, lens.height, lens.width)
    places = []
    for ball in range(len(points)):
        model.geom_rgba[:, 3] = np.arange(len(points)) == ball
        renderer.update_scene(data, "c")
        light = lens.distort(renderer.render().astype(np.float32)).mean(axis=2)
        light[light < 0.2 * light.max()] = 0
        rows, columns = np.indices(light.shape)
        places.append([(light * columns).sum() / light.sum(), (light * rows).sum() / light.sum()])
    renderer.close()
    return np.array(places)


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0, 0.0), (-0.24, 0.09, 0.011, -0.017, -0.02)])
def test_a_lens_and_its_mjcf_camera_see_things_where_opencv_projects_them(distortion):
    lens = Lens(320, 200, 210.0, 250.0, 171.3, 77.8, distortion)
    points = np.array([[0.02, 0.01, 0.3], [-0.1, -0.02, 0.3], [0.05, 0.08, 0.35], [-0.03, 0.05, 0.4]])
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), lens.matrix, np.array(lens.distortion))
    assert rendered_places(lens, points) == pytest.approx(expected.reshape(-1, 2), abs=0.15)


def test_a_lens_becomes_an_mjcf_camera_with_its_field_of_view():
    lens = Lens(640, 480, 600.0, 600.0, 320.0, 240.0)
    attributes = " ".join(f'{k}="{v}"' for k, v in lens.mjcf().items())
    model = mujoco.MjModel.from_xml_string(f"<mujoco><worldbody><camera name='c' {attributes}/></worldbody></mujoco>")
    assert model.cam_fovy[0] == pytest.approx(np.degrees(2 * np.arctan(240 / 600)), rel=1e-4)
