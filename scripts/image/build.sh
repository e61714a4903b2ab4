#!/usr/bin/env bash
# Builds the Dockerfile for real, runs the image's own entrypoint and checks what it promises.
# Usage: scripts/image/build.sh [--embedded] [OUTPUT_FOLDER]
# The bill of materials is left in the folder (.cache/image); --embedded proves that target too (96 MB more).
# Needs root on Debian 12; buildah and mmdebstrap are installed where they are missing.
#
# No registry and no engine are needed: the base is a SUBSTITUTE, a minimal Debian 12 with Debian's own
# Python 3.11, tagged as the image that the Dockerfile names. The recipe is proved, the upstream base is not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly BASE=docker.io/library/python:3.11-slim-bookworm
readonly IMAGE=localhost/inwit:test
cache="$PWD/.cache/image"
embedded=""
if [ "${1:-}" = --embedded ]; then embedded=yes; shift; fi
output="${1:-$cache}"
work="$(mktemp -d)"
mounted=()

say() { printf '== %s (%s s)\n' "$*" "$SECONDS"; }
# vfs and chroot: no overlay, no namespaces, no cgroups of its own.
build_tool() { buildah --root "$work/root" --runroot "$work/run" --storage-driver vfs "$@"; }

clean_up() {
  if [ ${#mounted[@]} -gt 0 ]; then build_tool umount "${mounted[@]}" >/dev/null 2>&1 || true; fi
  rm -rf "$work"
}
trap clean_up EXIT

install_tools() {
  local wanted=()
  command -v buildah >/dev/null || wanted+=(buildah)
  command -v mmdebstrap >/dev/null || wanted+=(mmdebstrap)
  if [ ${#wanted[@]} -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}"
  fi
}

make_base() {
  mkdir -p "$cache" "$work/base"
  if [ ! -f "$cache/base.tar" ]; then
    mmdebstrap --quiet --format=tar --variant=minbase --include=ca-certificates,python3,python3-venv,python3-pip \
      bookworm "$cache/base.tar.part"
    mv "$cache/base.tar.part" "$cache/base.tar"
  fi
  ln "$cache/base.tar" "$work/base/" 2>/dev/null || cp "$cache/base.tar" "$work/base/"
  printf '%s\n' 'FROM scratch' 'ADD base.tar /' 'ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' \
    'RUN ["ln", "-s", "python3", "/usr/bin/python"]' >"$work/base/Dockerfile"
  build_tool bud --quiet --isolation chroot --pull=never --format docker -t "$BASE" "$work/base" >/dev/null
}

# What this machine tells pip about its network, and whom it trusts: secrets of the build, in no layer.
write_secrets() {
  {
    echo "[global]"
    python3 -m pip config list 2>/dev/null |
      sed -nE "s/^[^=]*\.(index-url|trusted-host|proxy|default-timeout)='(.*)'$/\1 = \2/p" | sort -u
    if [ -n "${PIP_INDEX_URL:-}" ]; then echo "index-url = $PIP_INDEX_URL"; fi
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
  } >"$work/pip.conf"
  secrets=(--secret "id=pip,src=$work/pip.conf")
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    secrets+=(--secret "id=ca,src=/etc/ssl/certs/ca-certificates.crt")
  fi
}

build() { # TARGET TAG
  build_tool bud --quiet --isolation chroot --pull=never --format docker "${secrets[@]}" \
    --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --target "$1" -t "$2" -f Dockerfile . >/dev/null
}

open_image() { # TAG; its files are then under $root
  local container
  container="$(build_tool from --pull=never "$1")"
  mounted+=("$container")
  root="$(build_tool mount "$container")"
}

check() { # TAG COMMAND
  say "look at it and run it"
  open_image "$1"
  build_tool inspect --type image "$1" >"$work/image.json"
  python3 scripts/image/check_image.py "$work/image.json" "$root" "$2"
}

say "tools"
install_tools
say "substitute base: Debian's Python, tagged $BASE"
make_base
write_secrets
say "build the target gateway"
build gateway "$IMAGE"
check "$IMAGE" serve
say "bill of materials"
build sbom localhost/inwit:sbom
open_image localhost/inwit:sbom
cp "$root/sbom.cdx.json" "$output/"
python3 scripts/image/check_sbom.py "$output/sbom.cdx.json" requirements/serve.txt
if [ -n "$embedded" ]; then
  say "build the target embedded"
  build embedded localhost/inwit:embedded
  check localhost/inwit:embedded up
fi
say "done, on a substitute base: the upstream image was not part of this"
