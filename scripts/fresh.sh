#!/bin/bash
# Proves the set-up on a machine that has nothing: in a minimal Debian 12 (python3, make, git and
# ca-certificates only) a fresh clone runs preflight, install and the tests that need no lab.
#
# The Debian mirror is SHOAL_FRESH_MIRROR, else that of this machine's apt; pip's and apt's own
# configuration is copied where there is one. Everything lies in a private mount namespace and a
# temporary directory, and is gone afterwards; the log stays in build/fresh.log.
set -euo pipefail
cd "$(dirname "$0")/.."
source_tree=$PWD

if [ "${1:-}" != inside ]; then
    root=$(mktemp -d "${TMPDIR:-/var/tmp}/shoal-fresh.XXXXXX")
    chmod 755 "$root"
    # What is mounted below is mounted in the inner namespace only, so it cannot be removed here.
    trap 'rm -rf --one-file-system "$root"' EXIT
    mkdir -p build
    unshare --mount --pid --fork --kill-child --mount-proc "$0" inside "$root" </dev/null 2>&1 |
        tee build/fresh.log
    exit
fi
root=$2

# Empty if apt knows no Debian mirror (on Ubuntu): then debootstrap takes its own.
mirror=${SHOAL_FRESH_MIRROR:-$(
    find /etc/apt/sources.list /etc/apt/sources.list.d -type f -exec cat {} + 2>/dev/null |
        awk '!/^ *#/ { for (i = 1; i <= NF; i++) if (!found && $i ~ /:\/\/.*debian\/?$/) {
            print $i; found = 1 } }' || true
)}

echo "== minimal Debian 12"
date
debootstrap --variant=minbase --include=python3,make,git,ca-certificates bookworm "$root" \
    ${mirror:+"$mirror"} | tail -n 1

echo "== this machine's way to its registries"
copy() {
    for path in "$@"; do
        if [ -e "$path" ]; then
            mkdir -p "$root$(dirname "$path")"
            cp -aT "$path" "$root$path"
            echo "copied $path"
        fi
    done
}
copy /etc/apt/apt.conf.d /etc/pip.conf /etc/resolv.conf /etc/hosts /etc/ssl/certs \
    /usr/local/share/ca-certificates "$HOME/.config/pip" "$HOME/.pip"
# Indexes that are directories of this machine: their pages point to files beside them.
for path in $(cat /etc/pip.conf "$HOME/.config/pip/pip.conf" 2>/dev/null |
    grep -Eo 'file:///[^ ]+' | sed 's,^file://,,; s,/simple/*$,,' | sort -u); do
    if [ -d "$path" ]; then
        mkdir -p "$root$path"
        mount --bind "$path" "$root$path"
        echo "showing $path"
    fi
done

mkdir -p "$root/root"
git clone --quiet --no-hardlinks "$source_tree" "$root/root/shoal"
git -C "$root/root/shoal" log -1 --format='== commit %h %s'

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"

inside=(env -i HOME="$HOME" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    CI=true LC_ALL=C.UTF-8)
while IFS= read -r setting; do
    inside+=("$setting")
done < <(env | grep -E '^(PIP_|https?_proxy=|HTTPS?_PROXY=|no_proxy=|NO_PROXY=)' || true)

echo "== preflight, install, tests without the lab"
chroot "$root" "${inside[@]}" sh -euc '
    cd ~/shoal
    python3 --version
    python3 scripts/preflight.py --for unit
    make test-fast
'
echo "== done"
date
