"""OTLP in: spans from anywhere, the processors applied to them, and one owner per answer.

`wire` reads OTLP, `otlp_grpc` and `otlp_http` receive it, `private` takes out what must not be kept,
`ownership` decides per trace who pays, `stage` puts them in order. What stands behind is a `Sink`.
"""
