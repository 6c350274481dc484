"""`python -m tlcourse` is `tlcourse`."""

import sys

from tlcourse.cli import main

sys.exit(main())
