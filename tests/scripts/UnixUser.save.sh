set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
install -d -m 0711 home/alice
install -d -m 0755 home/alice/webs
if [ "$PWD" = / ]; then  # a demo host has no logins of its own
    id -u alice > /dev/null 2>&1 || useradd --home-dir /home/alice --no-create-home --user-group alice
    usermod --shell /usr/sbin/nologin alice
    chown alice: home/alice
    chown --no-dereference alice: home/alice/webs
fi
exit $exit_code
