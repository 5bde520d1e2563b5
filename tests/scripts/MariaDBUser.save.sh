set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
install -D -m 0600 /dev/null var/lib/panel/mariadb/user-shop.sql.new
printf %s 'CREATE USER IF NOT EXISTS `shop`@localhost;
SET PASSWORD FOR `shop`@localhost = '"'"'*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'"'"';
' > var/lib/panel/mariadb/user-shop.sql.new
publish var/lib/panel/mariadb/user-shop.sql
if [ -S run/mysqld/mysqld.sock ]; then mariadb < var/lib/panel/mariadb/user-shop.sql; fi
exit $exit_code
