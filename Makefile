# make demo      builds the embedded data set, trains, evaluates, draws, exports, predicts
# make test      runs everything that protects a change; no GPU is needed
# make test-all  and what is long and rarely fails, with chaos and matrix; three hours
# make chaos     kills and starves training processes, and compares how they end; an hour
# make matrix    compares every feature on every strategy; half an hour
# make lint      style, types and import contracts
# make docs      builds the site, strictly: open site/index.html
# Each installs what it needs into .venv, once, in the versions of constraints.txt.
#
# make test ARGS=--random-order   in another order
# DEEPLAB_TEST_GRAPPLER=1 make test   with TensorFlow's graph optimizer, as users have it
# make test CONSTRAINTS=   with the newest versions; a fresh .venv is needed

PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
# Where there is no CPU build, as on macOS: make TENSORFLOW=tensorflow
TENSORFLOW ?= tensorflow-cpu
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
DEMO := demo
ARGS ?=
PYTEST := $(BIN)/python -m pytest --durations=25
export TF_CPP_MIN_LOG_LEVEL := 2
# Where it is set, each process compiles TensorFlow and Keras anew, for 5 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-all chaos matrix lint docs clean
.DELETE_ON_ERROR:

# Lists of setup.cfg by name. The two TensorFlows overwrite each other: the CPU build takes
# the place of the full one in our own list, and the package itself comes without its list.
REQUIREMENTS := import configparser, sys; c = configparser.ConfigParser(); \
	c.read("setup.cfg"); \
	lists = {**c["options"], **c["options.extras_require"]}; \
	lines = "".join(lists[name] for name in sys.argv[1:]); \
	print(lines.replace("tensorflow>", "$(TENSORFLOW)>", 1))
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile \
	$(addprefix -c ,$(CONSTRAINTS))

.venv/ready: setup.cfg pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(PYTHON) -c '$(REQUIREMENTS)' install_requires dev > .venv/requirements.txt
	$(INSTALL) -r .venv/requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/docs: .venv/ready
	$(PYTHON) -c '$(REQUIREMENTS)' docs > .venv/docs.txt
	$(INSTALL) -r .venv/docs.txt
	touch $@

demo: .venv/ready
	rm -rf $(DEMO)
	$(BIN)/python datasets/build_shapes_data.py --output_dir=$(DEMO)/data
	$(BIN)/python train.py --flagfile=recipes/shapes.flags \
		--dataset_dir=$(DEMO)/data --train_logdir=$(DEMO)/run
	$(BIN)/python eval.py --checkpoint_dir=$(DEMO)/run \
		--dataset_dir=$(DEMO)/data --eval_logdir=$(DEMO)/run/eval
	$(BIN)/python vis.py --checkpoint_dir=$(DEMO)/run \
		--dataset_dir=$(DEMO)/data --vis_logdir=$(DEMO)/vis
	$(BIN)/python export.py --checkpoint_path=$(DEMO)/run --export_path=$(DEMO)/exported
	$(BIN)/python examples/predict.py $(DEMO)/exported \
		$(DEMO)/data/images/val/val_0003.png $(DEMO)/prediction.png
	@echo
	@echo "pictures    $(DEMO)/vis/segmentation_results/*_overlay.png"
	@echo "report      $(DEMO)/run/eval/metrics.json"
	@echo "SavedModel  $(DEMO)/exported"

test: .venv/ready
	$(PYTEST) -m "not gpu and not chaos and not matrix and not nightly" $(ARGS)

test-all: .venv/docs
	$(PYTEST) -m "not gpu and not chaos and not matrix" $(ARGS)
	$(MAKE) matrix chaos

chaos: .venv/ready
	$(BIN)/python -m pytest -n0 -m chaos tests/chaos

matrix: .venv/ready
	$(BIN)/python -m pytest -n0 -m matrix tests/training/test_matrix.py

lint: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Without Material's notice that it ends in May 2027.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean:
	rm -rf .venv $(DEMO) site build *.egg-info
