"""How each SDK is asked in the benchmark, answered from memory, and who else watches it.

Each module has `client()`, `chat(client)`, `stream(client)` (which reads `CHUNKS` chunks of text) and
`peer(tracers, meters)`, which switches the official instrumentation of that SDK on.
"""

from __future__ import annotations

CHUNKS = 200
QUESTION = "Say this is a test"
WORD = "word "
