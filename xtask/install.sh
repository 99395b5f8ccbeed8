#!/usr/bin/env bash
# Installs what building, running, testing or measuring needs from the distribution's packages, and
# nothing when it is there already. It is a shell script because a fresh machine may lack the
# linker that building any Rust program needs.
#
# MariaDB comes from the -core package: it has the server program but no service, so nothing is
# started and a MariaDB that runs on the machine is left alone. For the same reason the statements of
# the server's own tests come from mariadb-test-data alone: mariadb-test asks for the service.
set -euo pipefail

goal=${1:?usage: install.sh build|run|test|bench}
PATH=$PATH:/usr/sbin:/sbin
packages=()

have() { command -v "$1" >/dev/null 2>&1; }
need() { have "$1" || packages+=("${@:2}"); }

need cc build-essential
need c++ build-essential
need cmake cmake
if [ "$goal" != build ]; then
  need mariadbd mariadb-server-core
  need mariadb-install-db mariadb-server-core
  need mariadb mariadb-client
fi
if [ "$goal" = test ] || [ "$goal" = bench ]; then
  need mariadb-dump mariadb-client
  need valgrind valgrind
  need sysbench sysbench
  need mariadb_config libmariadb-dev
  need pkg-config pkg-config
  python3 -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || packages+=(python3-dev)
  need node nodejs
  need npm npm
  [ "$goal" = bench ] || [ -d /usr/share/mysql/mysql-test/main ] || packages+=(mariadb-test-data)
  python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
fi
if [ "$goal" = bench ]; then
  need haproxy haproxy
fi

if [ ${#packages[@]} -gt 0 ]; then
  mapfile -t packages < <(printf '%s\n' "${packages[@]}" | sort -u)
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    have sudo || { echo "install.sh: install these packages as root, then run again: ${packages[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  have apt-get || { echo "install.sh: this machine has no apt-get; install by hand: ${packages[*]}" >&2; exit 1; }
  echo "installing: ${packages[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
have cargo || { echo "install.sh: no cargo on PATH; install Rust from https://rustup.rs" >&2; exit 1; }
