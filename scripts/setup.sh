#!/bin/sh
# Make .venv with everything the exchange, its tests and its checks need. Says what is missing, and does nothing twice.
set -eu
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Crossbook needs Python 3.11 or newer: $python is not. Name another with 'make PYTHON=python3.12 ...'." >&2
  exit 1
fi
if [ ! -x .venv/bin/python ]; then
  "$python" -m venv .venv || {
    echo "Could not make a virtual environment: on Debian and Ubuntu, install python3-venv." >&2
    exit 1
  }
fi
pip() {
  .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt "$@"
}
echo "installing packages and compiling the engine (once, a minute or two)"
# The compiler needs little, so it works while the rest is installed.
pip mypy mypy-extensions librt setuptools isal
.venv/bin/python scripts/compile_domain.py &
compiling=$!
trap 'kill $compiling 2>/dev/null' EXIT
pip --config-settings editable_mode=compat -e '.[dev]'
wait $compiling
trap - EXIT
touch .venv/.installed
