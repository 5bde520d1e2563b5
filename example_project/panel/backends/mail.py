"""Mailboxes for Postfix and Dovecot: a file for each, from which the maps of both are put together."""

from orchestration import Secret

from .base import PanelController


class VirtualMailbox(PanelController):
    """Mailboxes with their passwords and aliases."""

    verbose_name = "virtual mailbox"
    model = "panel.Mailbox"
    related_models = [("panel.Alias", "mailbox")]

    def get_context(self, mailbox):
        return {
            "user": f"etc/dovecot/users.d/{mailbox.address}",
            "mailbox": f"etc/postfix/mailboxes.d/{mailbox.address}",
            "aliases": f"etc/postfix/aliases.d/{mailbox.address}",
        }

    def save(self, mailbox):
        paths = self.get_context(mailbox)
        quota = f"userdb_quota_rule=*:storage={mailbox.quota}M"
        self.write(paths["user"], Secret(f"{mailbox.address}:{mailbox.password}::::::{quota}\n"), mode="0640")
        self.write(paths["mailbox"], f"{mailbox.address} {mailbox.address}/\n")
        aliases = [f"{alias.address} {mailbox.address}\n" for alias in mailbox.aliases.all()]
        self.write(paths["aliases"], "".join(aliases))

    def delete(self, mailbox):
        self.append("rm -f %(user)s %(mailbox)s %(aliases)s", self.get_context(mailbox))

    def commit(self):
        self.assemble("etc/dovecot/users.d", "etc/dovecot/users", mode="0640")
        self.assemble("etc/postfix/mailboxes.d", "etc/postfix/virtual_mailboxes")
        self.assemble("etc/postfix/aliases.d", "etc/postfix/virtual_aliases")
        self.append(
            "if [ -e var/spool/postfix/pid/master.pid ]; then\n"
            "    postmap etc/postfix/virtual_mailboxes etc/postfix/virtual_aliases\nfi"
        )
        super().commit()
