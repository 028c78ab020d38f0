# Each target works from nothing: it makes .venv from the pinned requirements if that is missing.
# Another interpreter: make demo PYTHON=/path/to/python3.11

RUN := .venv/bin/python
PIP := $(RUN) -m pip install -qq --disable-pip-version-check
PARTS := sh parts.sh
# By a name of its own: make -n runs lines in which $(MAKE) stands.
MAKE_QUIETLY := $(MAKE) -s
SUITABLE := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))

.PHONY: demo chat poet test test-all lint format bench clean

demo:  # data, training and evaluation of configs/demo.yaml
	@$(PARTS) "make demo" \
	    "installation: 2 minutes the first time, else nothing" "$(MAKE_QUIETLY) .venv/.run" \
	    "data: half a minute the first time, else nothing" "$(RUN) data_process.py" \
	    "training: at most 9 minutes" "$(RUN) pretrain.py" \
	    "evaluation: a minute" "$(RUN) eval_pretrain.py"

chat:  # teach the demo to answer, measure that, and talk to it
	@$(PARTS) "make chat" \
	    "the demo: 12 minutes if it is not trained yet, else nothing" \
	    "$(MAKE_QUIETLY) .venv/.run out/demo/latest" \
	    "dialogues: a few seconds" "$(RUN) data_process.py --config configs/sft-idioms.yaml" \
	    "fine-tuning: a minute" "$(RUN) post_train.py --config configs/sft-idioms.yaml" \
	    "evaluation: half a minute" "$(RUN) eval_pretrain.py --run out/sft-idioms" \
	    "a chat: as long as you like" "$(RUN) eval_pretrain.py --run out/sft-idioms --chat"

out/demo/latest:
	$(MAKE) demo

poet:  # poems of Tang and Song: learn to write them, to answer, and to keep the rules
	@$(PARTS) "make poet" \
	    "installation: 2 minutes the first time, else nothing" "$(MAKE_QUIETLY) .venv/.run" \
	    "poems: half a minute" "$(RUN) data_process.py --config configs/poet-base.yaml" \
	    "pretraining: 11 minutes" "$(RUN) pretrain.py --config configs/poet-base.yaml" \
	    "dialogues: half a minute" "$(RUN) data_process.py --config configs/poet-sft.yaml" \
	    "fine-tuning: 4 minutes" "$(RUN) post_train.py --config configs/poet-sft.yaml" \
	    "titles: half a minute" "$(RUN) data_process.py --config configs/poet-grpo.yaml" \
	    "rewards for form and tones and rhyme: 8 minutes" \
	    "$(RUN) post_train.py --config configs/poet-grpo.yaml" \
	    "evaluation on 500 held-out titles: a minute" \
	    "$(RUN) -m evaluation.poem_report out/poet-base out/poet-sft out/poet-grpo \
	    --tasks data/poet-titles" \
	    "a chat: as long as you like" "$(RUN) eval_pretrain.py --run out/poet-grpo --chat"

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
	rm -rf out/debug data/debug .venv/.cache "$${XDG_CACHE_HOME:-$$HOME/.cache}/baby-llama2-mindspore"
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
