set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
rm -f etc/bind/zones.d/example.com.conf etc/bind/zones/example.com.zone
install -d etc/bind/zones.d
install -D -m 0644 /dev/null etc/bind/named.conf.zones.new
find etc/bind/zones.d -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > etc/bind/named.conf.zones.new
publish etc/bind/named.conf.zones
if [ -e run/named/named.pid ]; then rndc reload; fi
exit $exit_code
