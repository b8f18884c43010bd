# Two commands matter: `make drill` shows the whole story on a local AWS, `make test` runs every test. `make help` lists the rest.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help check test drill bench release fmt

CORDON_CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/cordon
export CORDON_CACHE
# Intermediate files live outside the clone, so that a second clone need not compile the world again. An empty cache is fine.
export CARGO_BUILD_BUILD_DIR ?= $(CORDON_CACHE)/build
# Accelerates the AWS SDK crates; nothing needs it (docs/decisions/0002).
export RUSTC_WRAPPER ?= $(CURDIR)/.ci/rustc-hint

CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CORDON_CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

fmt: ## Format everything
	cargo fmt --all

check: $(CARGO_DENY) ## Format, lints, dependency rules, docs, template: what CI checks before the tests
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO_DENY) --log-level error --locked check --hide-inclusion-graph bans licenses sources
	@# The advisory database is a git repository of its own: where it cannot be reached, say so and go on.
	@if $(CARGO_DENY) --log-level off fetch db >/dev/null 2>&1; then $(CARGO_DENY) --log-level error --locked check --hide-inclusion-graph advisories; \
	else echo "note: advisories were not checked: their database cannot be reached from here"; fi
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
	@# Asks no AWS: the Region only tells the linter which resource types there are.
	@venv=$$(python3 tests/local-aws/venvs.py tools) && SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 "$$venv/bin/sam" validate --lint && "$$venv/bin/cfn-lint" infra/member.yaml infra/target.yaml infra/github.yaml

drill: ## The whole story on a local AWS: a finding, a sealed machine, a proof
	@python3 tests/local-aws/drill.py

bench: ## How fast the function starts and acts, beside the same handler in Python
	@python3 tests/bench/compare.py

release: ## Build what `sam deploy` deploys, and write down which code that is: target/release.sha256, for `verify --release`
	@venv=$$(python3 tests/local-aws/venvs.py tools) && PATH="$$venv/bin:$$PATH" SAM_CLI_TELEMETRY=0 sam build
	@python3 tests/local-aws/release.py .aws-sam/build target/release.sha256

test: target/guardduty-model.json ## Every test: the drill, the examples in the docs, and all others on a local AWS with the template deployed
	@python3 tests/local-aws/drill.py
	cargo test --locked --workspace --doc --quiet
	export CORDON_STRANGERS=$$(bash tests/strangers/prepare.sh) && \
	CORDON_GUARDDUTY_MODEL=$(CURDIR)/target/guardduty-model.json INSTA_UPDATE=no python3 tests/local-aws/with_local_aws.py -- \
		cargo nextest run --locked --workspace --no-fail-fast --run-ignored all

# AWS's own description of a finding, from its Python SDK: a property test generates findings from it.
target/guardduty-model.json: tests/local-aws/requirements-emulators.txt
	@mkdir -p target
	@venv=$$(python3 tests/local-aws/venvs.py emulators) && \
	"$$venv/bin/python" -c 'import botocore.loaders as l, json; print(json.dumps(l.Loader().load_service_model("guardduty", "service-2")))' > $@.part && mv $@.part $@

$(CARGO_DENY):
	@echo "building cargo-deny $(CARGO_DENY_VERSION), once: a few minutes"
	@# In the development profile: it runs for seconds, and this halves the wait. Not with the accelerator's build folder: its own.
	env -u RUSTC_WRAPPER -u CARGO_BUILD_BUILD_DIR cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --debug --quiet \
		--no-default-features --root $(CORDON_CACHE)/cargo-deny-$(CARGO_DENY_VERSION)
