"""System users with their homes, and the virtual hosts of their websites."""

from .base import PanelController

STATIC_SITE = """\
server {
    listen 80;
    listen [::]:80;
    server_name %(names)s;
    root /%(root)s;
    location / {
        try_files $uri $uri/ =404;
    }
}
"""
PHP_SITE = """\
server {
    listen 80;
    listen [::]:80;
    server_name %(names)s;
    root /%(root)s;
    index index.php index.html;
    location / {
        try_files $uri $uri/ /index.php$is_args$args;
    }
    location ~ \\.php$ {
        try_files $uri =404;
        include fastcgi_params;
        fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
        fastcgi_pass unix:/run/php/%(user)s.sock;
    }
}
"""


class UnixUser(PanelController):
    """Homes of system users, and their logins where the server is a real one."""

    verbose_name = "Unix user"
    model = "panel.SystemUser"

    def get_context(self, user):
        return {"name": user.name, "home": f"home/{user.name}", "shell": user.shell}

    def save(self, user):
        context = self.get_context(user)
        self.append("install -d -m 0711 %(home)s", context)
        self.append("install -d -m 0755 %(home)s/webs", context)
        self.append(
            """\
if [ "$PWD" = / ]; then  # a demo host has no logins of its own
    id -u %(name)s > /dev/null 2>&1 || useradd --home-dir /%(home)s --no-create-home --user-group %(name)s
    usermod --shell %(shell)s %(name)s
    chown %(name)s: %(home)s
    chown --no-dereference %(name)s: %(home)s/webs
fi""",
            context,
        )

    def delete(self, user):
        """Keep the files: a person may have clicked too fast."""
        self.append(
            """\
if [ "$PWD" = / ] && id -u %(name)s > /dev/null 2>&1; then
    pkill -KILL -u %(name)s || true
    userdel %(name)s
fi
if [ -d %(home)s ]; then
    install -d -m 0700 home/.deleted
    mv -T %(home)s home/.deleted/%(name)s."$(date +%%s)"
fi""",
            self.get_context(user),
        )


class NginxSite(PanelController):
    """Virtual hosts of websites, with the domains under which they answer."""

    verbose_name = "nginx site"
    model = "panel.Website"
    related_models = [("panel.Domain", "website")]
    after = ["UnixUser"]

    def get_context(self, website):
        return {
            "names": " ".join(domain.name for domain in website.domains.all()),
            "user": website.user.name,
            "root": f"home/{website.user.name}/webs/{website.name}",
            "config": f"etc/nginx/sites-available/{website.name}.conf",
            "enabled": f"etc/nginx/sites-enabled/{website.name}.conf",
            "target": f"../sites-available/{website.name}.conf",
        }

    def save(self, website):
        context = self.get_context(website)
        site = PHP_SITE if website.kind == website.Kind.PHP else STATIC_SITE
        self.append("install -d %(root)s", context)
        self.append('if [ "$PWD" = / ]; then chown --no-dereference %(user)s: %(root)s; fi', context)
        self.write(context["config"], site % context)
        if website.is_active and context["names"]:
            self.append("install -d etc/nginx/sites-enabled")
            self.append("ln -sfn %(target)s %(enabled)s", context)
        else:
            self.append("rm -f %(enabled)s", context)

    def delete(self, website):
        """Take it off the web; its files stay with the user."""
        self.append("rm -f %(enabled)s %(config)s", self.get_context(website))

    def commit(self):
        # Two commands: behind "nginx -t &&" a failure would not count (bash, set -e).
        self.append("if [ -e run/nginx.pid ]; then\n    nginx -t\n    nginx -s reload\nfi")
        super().commit()
