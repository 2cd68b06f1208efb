#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Repeats the README in a fresh Debian 12: debootstrap, a clone, the two
# commands. Needs root and debootstrap.
#   tools/fresh_debian.sh [FOLDER] [TARGET...]     (default: demo test)
# SOTTO_TEST_DATA, where set, is bound into it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1:-/tmp/sotto-debian}
shift || true
targets=("${@:-demo}")
[ $# -eq 0 ] && targets=(demo test)

mirror=$(awk '/^deb .*bookworm main/ && !/security/ {print $2; exit}' /etc/apt/sources.list 2>/dev/null || true)
[ -n "$mirror" ] || mirror=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
if [ ! -x "$root/bin/bash" ]; then
  debootstrap --variant=minbase bookworm "$root" "${mirror:-http://deb.debian.org/debian}"
fi
# The host's way to the network: proxies for apt, names, pip's settings.
grep -lis proxy /etc/apt/apt.conf.d/* /etc/apt/apt.conf 2>/dev/null |
  while read -r file; do cp "$file" "$root/etc/apt/apt.conf.d/"; done || true
cp -a /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
for file in /etc/pip.conf "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf"; do
  [ -f "$file" ] && cp "$file" "$root/etc/pip.conf"
done
unmount() {
  for folder in dev/pts dev proc sys mnt/data; do
    umount "$root/$folder" 2>/dev/null || true
  done
}
trap unmount EXIT
# Private: what is unmounted here stays mounted outside.
share() {
  mount --bind "$1" "$root/$2"
  mount --make-private "$root/$2"
}
mkdir -p "$root/mnt/data"
mount -t proc proc "$root/proc"
share /sys sys
share /dev dev
share /dev/pts dev/pts  # tests open terminals
data=()
if [ -n "${SOTTO_TEST_DATA:-}" ]; then
  share "$SOTTO_TEST_DATA" mnt/data
  data=(SOTTO_TEST_DATA=/mnt/data)
fi

rm -rf "$root/root/sotto"
git clone -q . "$root/root/sotto"
environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL PIP_CERT PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT SSL_CERT_FILE REQUESTS_CA_BUNDLE; do
  [ -n "${!name:-}" ] && environment+=("$name=${!name}")
done
inside() { chroot "$root" env -i "${environment[@]}" "${data[@]}" bash -c "$1"; }
inside 'apt-get update -qq && apt-get install -y -qq make git ca-certificates >/dev/null'
# Certificates of the host's own network, behind the package's.
cp -a /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
for target in "${targets[@]}"; do
  echo "== make $target"
  time inside "cd /root/sotto && make $target"
done
