set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
rm -f etc/nginx/sites-enabled/shop.conf etc/nginx/sites-available/shop.conf
if [ -e run/nginx.pid ]; then
    nginx -t
    nginx -s reload
fi
exit $exit_code
