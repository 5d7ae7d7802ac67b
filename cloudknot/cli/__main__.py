"""``python -m cloudknot.cli`` is ``cloudknot``."""

import sys

from cloudknot.cli import main

sys.exit(main())
