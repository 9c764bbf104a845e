# Every target makes what it needs; nothing is expected on the machine but Python 3.11 or newer.
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types wheel bench clean venvs gateways collectors boards bench-stage bench-ledger bench-boards bench-ingest bench-usage bench-month bench-pipeline

help: ## what can be done here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

venvs: ## the virtual environments: newest SDKs, LiteLLM proxy, oldest SDKs, other tracers
	@.ci/venv .venv dev
	@.ci/venv .venv-demo demo,testing
	@.ci/venv .venv-oldest testing $$(python3 .ci/oldest.py)
	@.ci/venv .venv-oldest-google testing openai anthropic $$(python3 .ci/oldest.py google)
	@.ci/venv .venv-oldest-litellm testing $$(python3 .ci/oldest.py litellm)
	@.ci/venv .venv-beside beside

demo: ## real SDKs, a real LiteLLM proxy, the local page; Ctrl-C ends it
	@.ci/venv .venv-demo demo,testing
	@.venv-demo/bin/tollspan demo $(ARGS)

test: venvs gateways collectors ## the whole test suite; real parts that are absent skip with a reason
	@.ci/tests $(ARGS)

collectors: ## the collector and a Go client of the tests, in the user's cache; without go their tests skip
	@! command -v go > /dev/null || { .ci/otelcol && .ci/clickhouse_go; } > /dev/null || \
	  echo 'the collector could not be built: its tests skip' >&2

gateways: ## the Portkey gateway and @grafana/data from npm, in the user's cache; without npm their tests skip
	@! command -v npm > /dev/null || { .ci/portkey/make && .ci/grafana-data/make; } > /dev/null

check: lint types test wheel ## what CI runs

lint: venvs ## ruff, lint and format; generated tables are fresh
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/python .ci/tables.py --check
	@.venv/bin/python .ci/ledger_sql.py --check
	@.venv/bin/python -m grafana --check

types: venvs ## mypy --strict over the seven packages and the generator of the boards
	@.ci/types
	@.venv/bin/mypy --strict grafana

boards: venvs ## write the Grafana boards and alert rules again
	@.venv/bin/python -m grafana

wheel: venvs ## the wheel holds exactly the source folders
	@.venv/bin/python .ci/check_wheel.py

bench: venvs ## speed against the peer in the same run; JSON goes to bench/results
	@.venv/bin/python -m bench $(ARGS)
	@.venv/bin/python -m bench.limits
	@.venv/bin/python -m bench.wire

bench-stage: venvs ## spans per CPU-second of the collector stage, beside the same step on generated classes
	@.venv/bin/python -m bench.stage $(ARGS)

bench-ledger: venvs ## five million calls in the ledger: insert rate, size, every statement of the boards
	@.venv/bin/python -m bench.ledger $(ARGS)

bench-boards: venvs ## how long people wait for a board; ARGS="--ledger FOLDER", which bench-ledger --keep made
	@.venv/bin/python -m bench.boards $(ARGS)

bench-ingest: venvs ## a million records into a stack, a tenth twice: sums to the last digit
	@.venv/bin/python -m bench.ingest $(ARGS)

bench-usage: venvs ## questions and exports of the usage API; ARGS="--ledger FOLDER", which bench-ledger --keep made
	@.venv/bin/python -m bench.usage $(ARGS)

bench-month: venvs ## how far off the forecast of a month's end is, over simulated months
	@.venv/bin/python -m bench.month

bench-pipeline: venvs ## the whole path through real collectors and stages; then docs/sizing.md
	@.venv/bin/python -m bench.pipeline $(ARGS)
	@.venv/bin/python -m bench.sizing --write

clean: ## throw away what the targets made
	rm -rf .venv .venv-demo .venv-oldest .venv-oldest-google .venv-oldest-litellm .venv-beside build dist *.egg-info .mypy_cache .ruff_cache
