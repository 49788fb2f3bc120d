# make run: the app. make test: everything that has to hold. Both make their own environment first.

PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
WORKERS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# The workers of the tests share the cores: a thread that waits gives its core away instead of spinning on it.
test quick unit browser screenshots peers: export OMP_WAIT_POLICY := PASSIVE

# make quick: the inner loop, without the tests that tests/slow.txt names.
.PHONY: run test quick lint types unit browser screenshots peers bench clean

run: $(VENV)/.installed
	$(BIN)/streamlit run streamlit_app.py

test: lint types unit browser

quick: lint types
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --quick --ignore tests/browser --ignore tests/peers

lint: $(VENV)/.installed-tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed-tests
	$(BIN)/mypy

unit: $(VENV)/.installed-tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore tests/browser --ignore tests/peers

# The browser's absence is the one thing that may skip a test; it says so in the last lines.
browser: $(VENV)/.installed-tests
	@$(BIN)/python tests/browser/find_chromium.py --install > $(VENV)/.browser || true
	CHROMIUM="$$(cat $(VENV)/.browser)" $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/browser

screenshots: $(VENV)/.installed-tests
	@$(BIN)/python tests/browser/find_chromium.py --install > $(VENV)/.browser
	CHROMIUM="$$(cat $(VENV)/.browser)" MIRAGE_SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser/test_screenshots.py

peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest -s tests/peers

bench: $(VENV)/.installed
	$$([ -e $(PEERS)/.installed ] && echo $(PEERS) || echo $(VENV))/bin/python -m benchmarks

clean:
	rm -rf $(VENV) $(PEERS) .pytest_cache .mypy_cache .ruff_cache tests/browser/shots
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp newer than its list means: installed.
$(VENV)/.installed: requirements.txt
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(VENV)/.installed-tests: requirements-test.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -r requirements-test.txt
	touch $@

$(PEERS)/.installed: requirements-peers.txt requirements-test.txt requirements.txt
	[ -x $(PEERS)/bin/python ] || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet -r requirements-peers.txt
	touch $@
