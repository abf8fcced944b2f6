# What a person types:
#   make demo    set up .venv, train on generated sounds, predict; no data needed. Two processes, or one for each GPU
#   make test    set up .venv, run the tests under Paddle 3; those marked long are left out
#   make test-quick       tests/unit and tests/house alone, without those marked slow
#   make test-paddle2.6   set up .venv-paddle2.6, run under Paddle 2.6 the tests whose result may depend on the version of
#                Paddle (not those marked real, any_paddle or long, nor plugins that do not import Paddle)
#   make test-long        the tests marked long: many minutes, run before a release, not in CI
#   make check   ruff and mypy
#   make bench   every benchmark of benchmarks/, into benchmarks/results/MACHINE.json, .md and .svg
#                (BENCH="--against FILE": exit with 1 if something became slower than in those results)
#   make bench-peers      the same beside PyTorch, torchlibrosa and panns-inference, which it installs into .venv-peers
#                (TORCH===2.13.0 chooses PyTorch's version)
#   make docs    the documentation site in site/, both languages; a warning is an error
#   make dist    wheels of pannsdist and of the plugins and the sdist, from what is committed, in dist/, checked for PyPI
#   make clean   remove what these made
#   make test-gpu   on a machine with GPUs: what this project claims of them, as one table (`pannsdist doctor --prove`)
# PADDLE=cpu or PADDLE=gpu chooses the wheel of Paddle; by itself it is gpu where PyPI's GPU wheel has machine code for
# every NVIDIA GPU (`pannsdist doctor` has the same check, for the wheel that is installed).

SHELL := /bin/bash
WHEEL := -m pannsdist.run.doctor.wheel
# Found when they are first used, and once.
ifndef PADDLE
PADDLE = $(eval PADDLE := $(shell "$$(launch/find_python.sh 3.13)" $(WHEEL)))$(PADDLE)
endif
ifndef PYTHON
PYTHON = $(eval PYTHON := $(shell launch/find_python.sh $(if $(filter gpu,$(PADDLE)),3.12,3.13)))$(PYTHON)
endif
PYTHON26 ?= $(shell launch/find_python.sh 3.12 2>/dev/null)
# What the tests need, and a demo does not: wandb takes 60 MB, pyarrow 170 MB, h5py 17 MB, sed_eval and sed_scores_eval 30 MB,
# onnxruntime-web 14 MB, and npm.
LARGE := $(addprefix plugins/pannsdist-,wandb parquet hdf5 sed-scores web)
PLUGINS := $(patsubst %,-e %,$(filter-out $(LARGE),$(wildcard plugins/pannsdist-*)))
# TensorBoard reads what was written.
TESTED := $(patsubst %,-e %,$(wildcard $(LARGE))) -e 'plugins/pannsdist-tensorboard[view]'
# Those that bring more than datasets, augmentations and trackers, which do not meet Paddle.
COMPUTING := $(dir $(shell grep -lP '^pannsdist\.(?!datasets|augmentations|trackers)' plugins/*/setup.cfg))
ESC10 ?= $(wildcard ../shared/data/ESC-10)
MN04 ?= $(wildcard ../shared/weights/mn04_as_mAP_432.pt)
BENCH = $(patsubst %,--esc10 %,$(ESC10)) $(patsubst %,--mn04 %,$(MN04))
DECLARED := setup.cfg pyproject.toml $(wildcard plugins/*/setup.cfg)
comma := ,
# PyPI's newest GPU wheel is 2.6.2, which needs an older numpy and protobuf.
EXTRAS := $(if $(filter gpu,$(PADDLE)),gpu$(comma)paddle26,cpu)

.PHONY: demo test test-quick test-paddle2.6 test-long test-gpu check bench bench-peers docs dist clean

demo: .venv/installed
	.venv/bin/pannsdist train -c recipe:demo $(if $(filter cpu,$(PADDLE)),--nproc 2)
	.venv/bin/python -m pannsdist.builtin.tones runs/demo/sounds
	.venv/bin/pannsdist predict --model runs/demo/best_model --topk 3 runs/demo/sounds

test: .venv/developed
	.venv/bin/python -m pytest -n 2 --max-worker-restart 0 -m "not long"

test-quick: .venv/developed
	.venv/bin/python -m pytest -n 2 --max-worker-restart 0 -m "not long and not slow" tests/unit tests/house

test-paddle2.6: $(if $(PYTHON26),.venv-paddle2.6/developed)
	$(if $(PYTHON26),.venv-paddle2.6/bin/python -m pytest -n 2 --max-worker-restart 0 -m "not real and not any_paddle and not long" tests $(COMPUTING),@echo "Paddle 2.6.2 has no wheel for this Python: its tests were left out")

test-long: .venv/developed
	.venv/bin/python -m pytest -m long

test-gpu: .venv/installed
	.venv/bin/pannsdist doctor --prove -o proof.json

check: .venv/developed
	.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy

bench: .venv/installed
	.venv/bin/python benchmarks/bench.py $(BENCH)

bench-peers: .venv/installed .venv-peers/installed
	.venv/bin/python benchmarks/bench.py --peers .venv-peers/bin/python $(BENCH)

docs: .venv/developed
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

dist: .venv/developed
	rm -rf dist && mkdir -p dist/source
	git archive HEAD | tar -x -C dist/source
	.venv/bin/python -m build -q --no-isolation -o dist dist/source
	for plugin in dist/source/plugins/pannsdist-*; do .venv/bin/python -m build -q --no-isolation --wheel -o dist $$plugin || exit; done
	rm -rf dist/source
	.venv/bin/python -m twine check --strict dist/*

clean:
	rm -rf .venv .venv-paddle2.6 .venv-peers runs log dist site build/docs

.venv/installed: $(DECLARED)
	@test -n "$(PYTHON)" || { echo "no suitable Python, see above" >&2; exit 2; }
	@$(PYTHON) $(WHEEL) --why $(PADDLE)
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install -q -e '.[$(EXTRAS)]' $(PLUGINS)
	@touch $@

.venv/developed: .venv/installed
	.venv/bin/python -m pip install -q -e '.[$(EXTRAS),dev]' $(TESTED)
	@touch $@

.venv-paddle2.6/developed: $(DECLARED)
	$(PYTHON26) -m venv .venv-paddle2.6
	# newer pyarrow needs numpy 2, and does not declare it
	.venv-paddle2.6/bin/python -m pip install -q 'paddlepaddle==2.6.2' 'pyarrow<22' -e '.[cpu,paddle26,dev]' $(PLUGINS) $(TESTED)
	@touch $@

.venv-peers/installed:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install -q "torch$(TORCH)" torchlibrosa panns-inference
	@touch $@
