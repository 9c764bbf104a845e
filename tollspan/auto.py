"""`import tollspan.auto`: everything patched as the environment says, for programs that take one line.

The same as `tollspan.instrument()`, but no fault of ours stops the import.
"""

from __future__ import annotations

from tollspan.guard import quietly

with quietly:
    from tollspan.launcher import instrument

    instrument()
