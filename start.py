"""Start tlcourse from a clone, with nothing but Python 3.11 or newer:

    python start.py lab        open the course in JupyterLab
    python start.py test       run every test that can run here
    python start.py run 01     ... and so on: what follows is handed to `tlcourse`

The first start makes `.venv` beside this file and fills it from requirements.lock; later ones only look.
"""

# No syntax here that an old Python could stumble over: it must get as far as the sentence below.
# ruff: noqa: UP030, UP032
import os
import shutil
import sys

OLDEST = (3, 11)
ROOT = os.path.dirname(os.path.abspath(__file__))

if sys.version_info < OLDEST:
    names = ["python3.{0}".format(minor) for minor in range(13, 10, -1)]
    newer = [name for name in names if getattr(shutil, "which", lambda name: None)(name)]
    sys.exit(
        "tlcourse needs Python 3.11 or newer, and this is Python {0}.{1}. {2}".format(
            sys.version_info[0],
            sys.version_info[1],
            "Run: {0} start.py".format(newer[0])
            if newer
            else "Install a newer Python, then run start.py with it.",
        )
    )

sys.path.insert(0, os.path.join(ROOT, "tools"))
from environment import main  # noqa: E402

sys.exit(main(ROOT, sys.argv[1:]))
