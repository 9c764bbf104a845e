"""OTLP in: spans from anywhere, the processors applied to them, and one owner per answer.

`wire` reads OTLP, `otlp_grpc` and `otlp_http` receive it, `private` takes out what must not be kept,
`ownership` decides per trace who pays, `stage` folds spans into calls. What stands behind a receiver
is an `Intake`: `kept.Kept` before a ledger of this process, `serve.StageIntake` in `tollspan stage`.

There a request is let in (`admission`), enriched (`enrich`), folded with bounded memory (`holding`,
`windows`, `past`), sent on with its `records` (`handover`, `forward`), and only then answered.
`mend` puts together from ClickHouse what stages told in parts.
"""
