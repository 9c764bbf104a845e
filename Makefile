# Every target makes what it needs; nothing is expected on the machine but Python 3.11 or newer.
.DEFAULT_GOAL := help
.PHONY: help demo test check lint types wheel bench clean venvs

help: ## what can be done here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

venvs: ## both virtual environments: .venv (newest SDKs) and .venv-demo (LiteLLM proxy)
	@.ci/venv .venv dev
	@.ci/venv .venv-demo demo,testing

demo: ## real SDKs, a real LiteLLM proxy, the local page; Ctrl-C ends it
	@.ci/venv .venv-demo demo,testing
	@.venv-demo/bin/tollspan demo $(ARGS)

test: venvs ## the whole test suite; real parts that are absent skip with a reason
	@.venv/bin/python -m pytest -q --ignore tests/test_litellm_library.py $(ARGS)
	@.venv-demo/bin/python -m pytest -q tests/test_litellm_library.py

check: lint types test wheel ## what CI runs

lint: venvs ## ruff, lint and format; generated tables are fresh
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@.venv/bin/python .ci/tables.py --check

types: venvs ## mypy --strict over the seven packages
	@.ci/types

wheel: venvs ## the wheel holds exactly the source folders
	@.venv/bin/python .ci/check_wheel.py

bench: venvs ## speed against the peer in the same run; JSON goes to bench/results
	@.venv/bin/python -m bench $(ARGS)

clean: ## throw away what the targets made
	rm -rf .venv .venv-demo build dist *.egg-info .mypy_cache .ruff_cache
