#!/bin/sh
# Installs the newest released `iotlake` for this machine: downloads the archive, checks it against the release's
# SHA256SUMS, and puts the binary, its manual pages and its completions below ~/.local. Nothing else is touched.
#
#   IOTLAKE_PREFIX   where to install, instead of ~/.local
#   IOTLAKE_RELEASE  where the files of the release are, instead of the newest release of the repository
set -eu

release=${IOTLAKE_RELEASE:-https://github.com/@REPOSITORY@/releases/latest/download}
prefix=${IOTLAKE_PREFIX:-$HOME/.local}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

case "$(uname -s) $(uname -m)" in
"Linux x86_64") name=linux-x86_64 ;;
"Linux aarch64" | "Linux arm64") name=linux-arm64 ;;
"Darwin arm64") name=macos-arm64 ;;
*) fail "there is no binary for $(uname -s) on $(uname -m); build it from source: cargo install --path etl" ;;
esac

if command -v curl >/dev/null; then
    fetch() { curl --fail --silent --show-error --location --output "$2" "$1"; }
elif command -v wget >/dev/null; then
    fetch() { wget --quiet --output-document "$2" "$1"; }
else
    fail "neither curl nor wget is installed"
fi
if command -v sha256sum >/dev/null; then
    digest() { sha256sum "$1" | cut -d ' ' -f 1; }
else
    digest() { shasum -a 256 "$1" | cut -d ' ' -f 1; }
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
archive=iotlake-$name.tar.gz
fetch "$release/$archive" "$folder/$archive" || fail "cannot download $release/$archive"
fetch "$release/SHA256SUMS" "$folder/SHA256SUMS" || fail "cannot download $release/SHA256SUMS"
promised=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$folder/SHA256SUMS")
[ -n "$promised" ] || fail "$release/SHA256SUMS does not name $archive"
found=$(digest "$folder/$archive")
[ "$found" = "$promised" ] || fail "$archive has the checksum $found, not $promised: it was damaged on its way, or is not ours; nothing was installed"

tar -xzf "$folder/$archive" -C "$folder"
# Whether it runs here at all, before anything that works is replaced.
version=$("$folder/iotlake" --version) || fail "the binary does not run on this machine; build it from source: cargo install --path etl"

# put FROM TO: in one step, so that a binary that is running is never half a new one.
put() {
    mkdir -p "$(dirname "$2")"
    cp "$1" "$2.new"
    mv "$2.new" "$2"
}
put "$folder/iotlake" "$prefix/bin/iotlake"
put "$folder/completions/iotlake.bash" "$prefix/share/bash-completion/completions/iotlake"
put "$folder/completions/_iotlake" "$prefix/share/zsh/site-functions/_iotlake"
put "$folder/completions/iotlake.fish" "$prefix/share/fish/vendor_completions.d/iotlake.fish"
for page in "$folder"/man/*.1; do
    put "$page" "$prefix/share/man/man1/$(basename "$page")"
done

echo "$version is installed: $prefix/bin/iotlake"
case ":$PATH:" in
*":$prefix/bin:"*) ;;
*) echo "$prefix/bin is not in PATH: add it there, or call the command by its full name" ;;
esac
