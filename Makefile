# Each target works from nothing: it makes .venv from the pinned requirements if that is missing.
# Another interpreter: make demo PYTHON=/path/to/python3.11

RUN := .venv/bin/python
PIP := $(RUN) -m pip install -q --disable-pip-version-check
SUITABLE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

.PHONY: demo chat poet test test-all lint format bench clean

demo: .venv/.run  # data, training and evaluation of configs/demo.yaml
	$(RUN) data_process.py
	$(RUN) pretrain.py
	$(RUN) eval_pretrain.py
	@echo "The report is out/demo/report.md"

chat: .venv/.run | out/demo/latest  # teach the demo to answer, measure that, and talk to it
	$(RUN) data_process.py --config configs/sft-idioms.yaml
	$(RUN) post_train.py --config configs/sft-idioms.yaml
	$(RUN) eval_pretrain.py --run out/sft-idioms
	$(RUN) eval_pretrain.py --run out/sft-idioms --chat

out/demo/latest:
	$(MAKE) demo

# A stage of make poet: what comes and how long, then what it took.
define stage
@echo "==> $(1)"; begin=$$(date +%s); $(2) && took=$$(($$(date +%s) - begin)) && \
    echo "==> took $$((took / 60)) min $$((took % 60)) s"
endef

poet: .venv/.run  # poems of Tang and Song: learn to write them, to answer, and to keep the rules
	$(call stage,1/7 poems of Tang and Song: fetched and turned into ids: half a minute,\
	    $(RUN) data_process.py --config configs/poet-base.yaml)
	$(call stage,2/7 pretraining on 188515 poems: 10 minutes,\
	    $(RUN) pretrain.py --config configs/poet-base.yaml)
	$(call stage,3/7 tasks made from poems: half a minute,\
	    $(RUN) data_process.py --config configs/poet-sft.yaml)
	$(call stage,4/7 fine-tuning on these tasks: 2 minutes,\
	    $(RUN) post_train.py --config configs/poet-sft.yaml)
	$(call stage,5/7 titles to write on: half a minute,\
	    $(RUN) data_process.py --config configs/poet-grpo.yaml)
	$(call stage,6/7 poems are rewarded where they keep form and tones and rhyme: 6 minutes,\
	    $(RUN) post_train.py --config configs/poet-grpo.yaml)
	$(call stage,7/7 all stages write on 500 held-out titles: 2 minutes,\
	    $(RUN) -m evaluation.poem_report out/poet-base out/poet-sft out/poet-grpo \
	    --tasks data/poet-titles)
	$(RUN) eval_pretrain.py --run out/poet-grpo --chat

test: lint  # lint, and the tests that are not slow
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

test-all: lint  # lint, and every test
	$(RUN) -m pytest -n 2 --dist loadfile

lint: .venv/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: .venv/.dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: .venv/.dev  # speed of training and decoding, paired with PyTorch, and of the data step
	$(RUN) -m benchmarks.train_step
	$(RUN) -m benchmarks.decode
	$(RUN) -m benchmarks.data

clean:  # caches and the debug run; never other data or runs
	rm -rf out/debug data/debug .venv/.cache
	find . -name __pycache__ -not -path "./.venv/*" -prune -exec rm -rf {} +

.venv/.dev: .venv/.run requirements-extra.txt requirements-dev.txt requirements-peers.txt
	$(PIP) -r requirements-extra.txt -r requirements-dev.txt
	$(PIP) -r requirements-peers.txt
	@touch $@

.venv/.run: requirements.txt | .venv/bin/python
	$(PIP) -r requirements.txt
	@touch $@

# MindSpore 2.9.0 has no wheel beyond Python 3.12 and lm-eval needs 3.10: python3 itself may not do.
.venv/bin/python:
	@for python in $(or $(PYTHON),python3 python3.12 python3.11 python3.10); do \
	    if $$python -c "$(SUITABLE)" 2>/dev/null; then \
	        echo "making .venv with $$python"; \
	        $$python -m venv .venv && exit 0; \
	        rm -rf .venv; \
	        echo "error: $$python -m venv failed; install its venv package (Debian, Ubuntu:" \
	            "apt install python3-venv) and run make again" >&2; \
	        exit 1; \
	    fi; \
	done; \
	echo "error: no Python 3.10, 3.11 or 3.12 found (MindSpore 2.9.0 and lm-eval allow no others);" \
	    "install one, or name it: make PYTHON=/path/to/python3.11" >&2; \
	exit 1
