"""Databases of MariaDB and who may use them: one file of SQL for each, which is applied when it changes.

The names in the SQL are letters, digits and "_": the validators of the models let nothing else through.
"""

from orchestration import Secret

from .base import PanelController


class SQLController(PanelController):
    """Keeps the SQL that makes an object, and applies it where MariaDB runs."""

    abstract = True

    def apply(self, path, sql):
        self.write(path, sql, mode="0600")
        self.append("if [ -S run/mysqld/mysqld.sock ]; then mariadb < %(path)s; fi", {"path": path})

    def drop(self, path, sql):
        self.apply(path, sql)
        self.append("rm -f %(path)s", {"path": path})


class MariaDBUser(SQLController):
    """Logins of MariaDB."""

    verbose_name = "MariaDB user"
    model = "panel.DatabaseUser"

    def get_path(self, user):
        return f"var/lib/panel/mariadb/user-{user.name}.sql"

    def save(self, user):
        sql = (
            f"CREATE USER IF NOT EXISTS `{user.name}`@localhost;\n"
            f"SET PASSWORD FOR `{user.name}`@localhost = '{user.password}';\n"
        )
        self.apply(self.get_path(user), Secret(sql))

    def delete(self, user):
        self.drop(self.get_path(user), f"DROP USER IF EXISTS `{user.name}`@localhost;\n")


class MariaDBDatabase(SQLController):
    """Databases, and the users who have all rights in them."""

    verbose_name = "MariaDB database"
    model = "panel.Database"
    after = ["MariaDBUser"]

    def get_path(self, database):
        return f"var/lib/panel/mariadb/database-{database.name}.sql"

    def save(self, database):
        name = database.name
        pattern = name.replace("_", r"\_")  # in GRANT, "_" alone is any character
        grants = [
            f"GRANT ALL ON `{pattern}`.* TO `{user.name}`@localhost;\n" for user in database.users.all()
        ]
        sql = [
            f"CREATE DATABASE IF NOT EXISTS `{name}`;\n",
            rf"DELETE FROM mysql.db WHERE Db = REPLACE('{name}', '_', '\\_');" "\n",  # whoever left it
            "FLUSH PRIVILEGES;\n",
        ]
        self.apply(self.get_path(database), "".join(sql + grants))

    def delete(self, database):
        self.drop(self.get_path(database), f"DROP DATABASE IF EXISTS `{database.name}`;\n")
