set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
rm -f etc/dovecot/users.d/info@example.com etc/postfix/mailboxes.d/info@example.com etc/postfix/aliases.d/info@example.com
install -d etc/dovecot/users.d
install -D -m 0640 /dev/null etc/dovecot/users.new
find etc/dovecot/users.d -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > etc/dovecot/users.new
publish etc/dovecot/users
install -d etc/postfix/mailboxes.d
install -D -m 0644 /dev/null etc/postfix/virtual_mailboxes.new
find etc/postfix/mailboxes.d -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > etc/postfix/virtual_mailboxes.new
publish etc/postfix/virtual_mailboxes
install -d etc/postfix/aliases.d
install -D -m 0644 /dev/null etc/postfix/virtual_aliases.new
find etc/postfix/aliases.d -type f ! -name '*.new' -exec cat {} + | LC_ALL=C sort > etc/postfix/virtual_aliases.new
publish etc/postfix/virtual_aliases
if [ -e var/spool/postfix/pid/master.pid ]; then
    postmap etc/postfix/virtual_mailboxes etc/postfix/virtual_aliases
fi
exit $exit_code
