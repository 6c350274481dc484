"""Settings that JupyterLab needs to keep a cockpit's last state in the notebook file."""

import os
from collections.abc import Mapping
from pathlib import Path

CONFIG = Path(__file__).parent / "jupyter"


def lab_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables to add to the environment of `jupyter lab`.

    By default JupyterLab does not save widgets: a reopened notebook shows "model not found".
    `labconfig/default_setting_overrides.json` in a folder of JUPYTER_CONFIG_PATH changes that default
    (jupyterlab_server, settings_utils); what a person has set in JupyterLab still wins. Folders
    that are listed already keep their place behind ours.
    """
    before = [path for path in environ.get("JUPYTER_CONFIG_PATH", "").split(os.pathsep) if path]
    others = [path for path in before if path != str(CONFIG)]
    return {"JUPYTER_CONFIG_PATH": os.pathsep.join([str(CONFIG), *others])}
