set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
install -D -m 0644 /dev/null etc/bind/zones/example.com.zone.new
printf %s '$ORIGIN example.com.
$TTL 3600
@ IN SOA ns1.example.net. hostmaster.example.com. 2026010100 7200 3600 1209600 300
@ IN NS ns1.example.net.
@ IN A 192.0.2.1
@ IN MX 10 mail.example.com.
@ IN TXT "v=spf1 \"quoted\" -all; it'"'"'s 100%"
www IN CNAME example.com.
' > etc/bind/zones/example.com.zone.new
if command -v named-checkzone > /dev/null; then named-checkzone example.com etc/bind/zones/example.com.zone.new; fi
publish etc/bind/zones/example.com.zone
install -D -m 0644 /dev/null etc/bind/zones.d/example.com.conf.new
printf %s 'zone "example.com" { type primary; file "/etc/bind/zones/example.com.zone"; };
' > etc/bind/zones.d/example.com.conf.new
publish etc/bind/zones.d/example.com.conf
install -d etc/bind/zones.d
install -D -m 0644 /dev/null etc/bind/named.conf.zones.new
find etc/bind/zones.d -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > etc/bind/named.conf.zones.new
publish etc/bind/named.conf.zones
if [ -e run/named/named.pid ]; then rndc reload; fi
exit $exit_code
