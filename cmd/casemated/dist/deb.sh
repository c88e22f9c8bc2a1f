#!/bin/sh
# deb.sh makes OUT/casemate_VERSION_ARCH.deb of what `make build man` has made, with dpkg-deb alone.
# DEB_VERSION is the package's version; otherwise it is made of VERSION, as git describes it.
set -eu
umask 022
: "${OUT:=bin}" "${VERSION:=}" "${MAINTAINER:=casemate <casemate@localhost>}" "${COMPRESS:=xz}"
cd "$(dirname "$0")/../../.."
dist=cmd/casemated/dist

# The time of everything in the package is that of the commit, so that a build can be repeated.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || echo 0)}"
export SOURCE_DATE_EPOCH

# deb_version WORD: v1.2.3 is 1.2.3, v1.2.3-rc1 is before that, v1.2.3-4-gabc after it, and a commit
# without a tag before every version.
deb_version() {
	case $1 in
	v[0-9]* | [0-9]*.*) echo "${1#v}" | sed -E 's/-([0-9]+)-(g[0-9a-f]+)/+\1.\2/; s/-dirty$/+dirty/; s/-/~/g' ;;
	*) echo "0~git$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y%m%d%H%M%S)${1:+.$(echo "$1" | tr -c 'a-zA-Z0-9\n' +)}" ;;
	esac
}
: "${DEB_VERSION:=$(deb_version "$VERSION")-1}"
arch=$(dpkg --print-architecture)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
DESTDIR=$root PREFIX=/usr $dist/install.sh

doc=$root/usr/share/doc/casemate
mkdir -p "$doc"
cp README.md SECURITY.md "$doc/"
cp -R examples "$doc/examples"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
find "$root/usr/share/man" -type f -exec gzip -9n {} +

# The licences of everything that the programs are linked from.
modules=$(go list -deps -tags netgo,osusergo -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' \
	./cmd/casemate ./cmd/casemated ./cmd/casemate-worker ./cmd/casemate-filter ./cmd/inetd)
{
	printf 'casemate is under the Apache License, version 2.0; on Debian systems its text is in\n/usr/share/common-licenses/Apache-2.0.\n'
	printf '\nThe programs are linked statically. What follows are the licences of what is in them.\n'
	echo "$modules" | sort -u | grep . | while read -r path version dir; do
		printf '\n==== %s %s\n\n' "$path" "$version"
		texts=$(find "$dir" -maxdepth 1 \( -iname 'licen[cs]e*' -o -iname 'copying*' -o -iname 'notice*' \) | sort)
		[ -n "$texts" ] || { echo "deb.sh: $path has no licence to show" >&2; exit 1; }
		for text in $texts; do cat "$text"; done
	done
	printf '\n==== The Go standard library\n\n'
	cat "$(go env GOROOT)/LICENSE" 2>/dev/null || cat /usr/share/doc/golang-*-go/copyright
	for lib in libseccomp-dev libc6-dev; do
		printf '\n==== %s\n\n' $lib
		cat "/usr/share/doc/$lib/copyright"
	done
} >"$doc/copyright"

# depends names the packages of the libraries that a program loads; there are none as long as all
# are static.
depends() {
	libs=
	for program in "$root"/usr/libexec/casemate/*; do
		sections=$(readelf -d "$program")
		libs="$libs $(echo "$sections" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')"
	done
	packages=$(for lib in $libs; do
		owner=$(dpkg -S "*/$lib" | sed -n '1s/:.*//p')
		[ -n "$owner" ] || { echo "deb.sh: no package has $lib" >&2; exit 1; }
		dpkg-query -W -f '${Package} (>= ${Version})\n' "$owner"
	done)
	echo "$packages" | sort -u | paste -sd, - | sed 's/,/, /g'
}
needed=$(depends)

mkdir "$root/DEBIAN"
{
	printf 'Package: casemate\nVersion: %s\nArchitecture: %s\nMaintainer: %s\n' "$DEB_VERSION" "$arch" "$MAINTAINER"
	printf 'Section: net\nPriority: optional\nInstalled-Size: %s\n' "$(du -sk --exclude=DEBIAN "$root" | cut -f1)"
	[ -z "$needed" ] || printf 'Depends: %s\n' "$needed"
	printf 'Suggests: bash-completion, fail2ban, logrotate\n'
	cat <<-END
		Description: super-server that starts each connection's program in a sandbox
		 casemate listens for many services and starts each one when a client comes, as
		 inetd does, but by a reviewed policy: who may connect, how often, and what the
		 program may do once it runs. Every connection's program is alone in
		 namespaces of its own, behind seccomp and Landlock, without privileges. An
		 inetd.conf goes on as it is, and blocks of the policy extend its entries.
		 .
		 Nothing listens after the installation: the policy in /etc/casemate serves
		 nothing, and casemated is not enabled.
	END
} >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sort | sed 's,^,/,') >"$root/DEBIAN/conffiles"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
for script in postinst prerm postrm; do
	install -m 0755 $dist/debian/$script "$root/DEBIAN/$script"
done
mkdir -p "$OUT"
dpkg-deb --root-owner-group -Z"$COMPRESS" --build "$root" "$OUT/casemate_${DEB_VERSION}_$arch.deb" >/dev/null
echo "$OUT/casemate_${DEB_VERSION}_$arch.deb"
