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
echo "installing packages (once, a minute or two)"
.venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt \
  --config-settings editable_mode=compat -e '.[dev]'
touch .venv/.installed
