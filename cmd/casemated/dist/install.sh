#!/bin/sh
# install.sh puts what `make build` and `make man` have made where a host looks for it: below
# DESTDIR, for a root that is PREFIX and SYSCONFDIR. It enables and starts nothing.
#
# The programs lie in one directory of root's, LIBEXECDIR/casemate, where casemated and inetd find the others
# beside itself; SBINDIR and BINDIR hold links to what people call. No user is made (sessions
# and workers have leased uids), and no directory of /run or /var: casemated and its unit make theirs.
set -eu
umask 022
: "${DESTDIR=}" "${PREFIX:=/usr/local}" "${SYSCONFDIR:=/etc}"
: "${SBINDIR:=$PREFIX/sbin}" "${BINDIR:=$PREFIX/bin}" "${LIBEXECDIR:=$PREFIX/libexec}" "${DATADIR:=$PREFIX/share}"
: "${UNITDIR:=$PREFIX/lib/systemd/system}"
for dir in "$PREFIX" "$SYSCONFDIR" "$SBINDIR" "$BINDIR" "$LIBEXECDIR" "$DATADIR" "$UNITDIR"; do
	case $dir in
	*[!A-Za-z0-9/._+-]*) echo "make install: $dir: a directory's name has letters, digits and / . _ + - alone" >&2; exit 1 ;;
	/*) ;;
	*) echo "make install: $dir: write an absolute path" >&2; exit 1 ;;
	esac
done
cd "$(dirname "$0")/../../.."
for made in bin/casemate bin/casemated bin/casemate-worker bin/casemate-filter bin/inetd bin/man/casemate.1; do
	[ -e $made ] || { echo "make install: $made is not there: make build man, as the user who may" >&2; exit 1; }
done
dist=cmd/casemated/dist

# Root owns what it installs; who stages a package as somebody else has the archiver say so.
owner=
[ "$(id -u)" != 0 ] || owner='-o root -g root'

# put MODE FILE TARGET
put() {
	# shellcheck disable=SC2086 # of no words or four
	install -D $owner -m "$1" "$2" "$DESTDIR$3"
}

# adapt FILE TARGET: with the paths that a host with PREFIX=/usr has turned into these.
adapt() {
	tmp=$(mktemp)
	sed -e "s,/usr/sbin/casemate,$SBINDIR/casemate,g; s,/usr/bin/casemate\([^d]\),$BINDIR/casemate\1,g" \
		-e "s,/etc/casemate,$SYSCONFDIR/casemate,g" "$1" >"$tmp"
	put 0644 "$tmp" "$2"
	rm -f "$tmp"
}

for name in casemate casemated casemate-worker casemate-filter inetd; do
	put 0755 bin/$name "$LIBEXECDIR/casemate/$name"
done
install -d "$DESTDIR$SBINDIR" "$DESTDIR$BINDIR"
ln -srf "$DESTDIR$LIBEXECDIR/casemate/casemated" "$DESTDIR$SBINDIR/casemated"
ln -srf "$DESTDIR$LIBEXECDIR/casemate/casemate" "$DESTDIR$BINDIR/casemate"
ln -srf "$DESTDIR$LIBEXECDIR/casemate/inetd" "$DESTDIR$SBINDIR/casemate-inetd" # the host may have an inetd

# A policy that is there is the host's.
if [ -z "$(ls -A "$DESTDIR$SYSCONFDIR/casemate" 2>/dev/null)" ]; then
	put 0644 $dist/casemate.cm.hcl "$SYSCONFDIR/casemate/casemate.cm.hcl"
fi
[ -e "$DESTDIR$SYSCONFDIR/logrotate.d/casemate" ] || adapt $dist/logrotate "$SYSCONFDIR/logrotate.d/casemate"
adapt $dist/casemated.service "$UNITDIR/casemated.service"
adapt $dist/casemate-inetd.service "$UNITDIR/casemate-inetd.service"
put 0644 $dist/fail2ban.conf "$SYSCONFDIR/fail2ban/filter.d/casemate.conf"

for page in bin/man/*; do
	put 0644 "$page" "$DATADIR/man/man${page##*.}/${page##*/}"
done
for shell in bash:bash-completion/completions/casemate zsh:zsh/site-functions/_casemate fish:fish/vendor_completions.d/casemate.fish; do
	tmp=$(mktemp)
	bin/casemate completion "${shell%%:*}" >"$tmp"
	put 0644 "$tmp" "$DATADIR/${shell#*:}"
	rm -f "$tmp"
done
[ -n "$DESTDIR" ] || echo "installed; to serve: systemctl daemon-reload && systemctl enable --now casemated"
