#!/bin/sh
# Install what the tests need beyond Python's packages: a Java and Maven for the Kafka broker, docker-compose to
# read docker-compose.yml, Chromium for the dashboard's tests, tshark and iproute2 for the multicast feed's,
# a compiler for domain/. Does nothing where all of it is here.
set -eu

missing=""
need() { # need PACKAGE COMMAND [ARGUMENT...]: the package is missing unless the command succeeds
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

java_is_new_enough() {
  major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

need make make --version
need gcc cc --version
need default-jre-headless java_is_new_enough
need maven sh -c 'command -v mvn'
need docker-compose docker-compose version
need chromium chromium --version
need tshark tshark --version
need iproute2 sh -c 'command -v ip && command -v tc'
need python3-venv "${PYTHON:-python3}" -c 'import ensurepip, venv'
need python3-dev "${PYTHON:-python3}" -c \
  'import os, sysconfig; os.stat(os.path.join(sysconfig.get_path("include"), "Python.h"))'

[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need what is not here:$missing (Debian's names). Install it and run this again." >&2
  exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null
