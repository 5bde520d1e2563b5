set -e
set -o pipefail
exit_code=0
cd
umask 022
publish() {
    if cmp -s "$1.new" "$1"; then rm -f "$1.new"; else mv -f "$1.new" "$1"; fi
}
install -D -m 0600 /dev/null var/lib/panel/mariadb/database-shop_live.sql.new
printf %s 'CREATE DATABASE IF NOT EXISTS `shop_live`;
DELETE FROM mysql.db WHERE Db = REPLACE('"'"'shop_live'"'"', '"'"'_'"'"', '"'"'\\_'"'"');
FLUSH PRIVILEGES;
GRANT ALL ON `shop\_live`.* TO `shop`@localhost;
' > var/lib/panel/mariadb/database-shop_live.sql.new
publish var/lib/panel/mariadb/database-shop_live.sql
if [ -S run/mysqld/mysqld.sock ]; then mariadb < var/lib/panel/mariadb/database-shop_live.sql; fi
exit $exit_code
