"""`embodied study`: published benchmarks, and the studies whose results the documentation reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from embodied_scripts.cli.study_ablation import Ablation
from embodied_scripts.cli.study_adaptation import Adaptation
from embodied_scripts.cli.study_arm import ArmTransfer, Grip, Twin
from embodied_scripts.cli.study_foreign import Foreign, Kills
from embodied_scripts.cli.study_hopper_transfer import HopperTransfer
from embodied_scripts.cli.study_memory import NoVelocity, PopGym, Recall
from embodied_scripts.cli.study_robot import Bodies, FaultsOf, RealTime
from embodied_scripts.cli.study_transfer import Transfer

StudyCommand = (
    Annotated[NoVelocity, tyro.conf.subcommand("novel")]
    | Annotated[PopGym, tyro.conf.subcommand("popgym")]
    | Annotated[Recall, tyro.conf.subcommand("recall")]
    | Annotated[Transfer, tyro.conf.subcommand("transfer")]
    | Annotated[HopperTransfer, tyro.conf.subcommand("hopper")]
    | Annotated[Ablation, tyro.conf.subcommand("ablation")]
    | Annotated[Adaptation, tyro.conf.subcommand("adapt")]
    | Annotated[Foreign, tyro.conf.subcommand("foreign")]
    | Annotated[Kills, tyro.conf.subcommand("kills")]
    | Annotated[Twin, tyro.conf.subcommand("twin")]
    | Annotated[ArmTransfer, tyro.conf.subcommand("arm")]
    | Annotated[Grip, tyro.conf.subcommand("grip")]
    | Annotated[FaultsOf, tyro.conf.subcommand("faults")]
    | Annotated[Bodies, tyro.conf.subcommand("bodies")]
    | Annotated[RealTime, tyro.conf.subcommand("realtime")]
)


@dataclass(frozen=True)
class StudyOf:
    """Run a study; finished rows are kept, so an interrupted study goes on."""

    what: StudyCommand  # type: ignore[valid-type]
    """Which."""

    def run(self) -> None:
        """Does what was asked."""
        self.what.run()  # type: ignore[attr-defined]
