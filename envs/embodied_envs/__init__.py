"""Importing this package registers its tasks with Gymnasium: `gymnasium.make("embodied/Signpost-v0")`."""

from gymnasium.envs.registration import register

import embodied  # noqa: F401  (chooses the renderer before anything imports MuJoCo)

TASKS = {
    "Signpost-v0": "embodied_envs.signpost",
    "LightDark-v0": "embodied_envs.lightdark",
    "Search-v0": "embodied_envs.search",
    "Weigh-v0": "embodied_envs.weigh",
    "Feel-v0": "embodied_envs.feel",
    "Heft-v0": "embodied_envs.heft",
    "Rummage-v0": "embodied_envs.rummage",
    "HideSeek-v0": "embodied_envs.hide_seek",
    "HideSeek-v1": "embodied_envs.hide_seek_v1",
    "Sumo-v0": "embodied_envs.sumo",
}

for _name, _module in TASKS.items():
    register(
        id=f"embodied/{_name}",
        entry_point=f"{_module}:make",
        vector_entry_point=f"{_module}:make_vec",
        order_enforce=False,
        disable_env_checker=True,
    )
