"""The real config, composed as the command does it, and runs so small that they take a moment."""

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from lstmlab import train

SMALL = (
    "task.T=24",
    "trainer.window=100",
    "trainer.budget=200",
    "task.criterion.sequences=100",
    "probe=2",
)
NO_DIAGNOSTICS = ("diagnostic=[]",)


def composed(*overrides: str) -> tuple[dict, dict]:
    """The config as plain containers, and group -> option chosen."""
    with initialize_config_module("lstmlab.conf", version_base="1.3"):
        config = compose("config", list(overrides), return_hydra_config=True)
    choices = dict(config.hydra.runtime.choices)
    OmegaConf.set_struct(config, False)
    config.pop("hydra")
    return OmegaConf.to_container(config, resolve=True), choices


def run(folder, *overrides: str) -> dict:
    """One small run in `folder`; its row."""
    config, choices = composed(*SMALL, *overrides)
    return train.run(config, folder, choices, progress=False)
