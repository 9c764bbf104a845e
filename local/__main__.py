"""`python -m tollspan.local` is `tollspan up`."""

from __future__ import annotations

import sys

from .command import up

sys.exit(up(sys.argv[1:]))
