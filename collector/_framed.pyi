def framed(body: bytes, /) -> list[tuple[bytes, bytes, bytes, bytes]] | None:
    """Of each scope resource, scope, and where its spans begin and end (`int64` of the machine's own byte
    order)."""
