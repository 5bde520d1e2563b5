#!/usr/bin/env bash
# Install the services that the tests start themselves (Debian, as root); the second time it only looks.
set -euo pipefail

packages=(
    openssh-client openssh-server sudo shellcheck
    busybox csh dash fish ksh tcsh zsh
    postgresql mariadb-server
    gcc pkg-config libmariadb-dev
)

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Keep packages from starting their services: the tests start their own, on free ports.
forbid_starting() {
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] && return
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

if ! command -v dpkg-query >/dev/null; then
    echo "No Debian: install sshd, PostgreSQL and MariaDB yourself, or their tests are skipped." >&2
    exit 0
fi

missing=()
for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "Not root: install ${missing[*]} yourself, or their tests are skipped." >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
forbid_starting
apt-get update -qq
apt-get install -qq --yes --no-install-recommends "${missing[@]}"
