"""DNS zones for BIND."""

from example_project.panel import records

from .base import PanelController

ZONE = """\
$ORIGIN %(name)s.
$TTL %(ttl)s
@ IN SOA %(name_server)s. hostmaster.%(name)s. %(serial)s 7200 3600 1209600 300
@ IN NS %(name_server)s.
"""
ENTRY = 'zone "%(name)s" { type primary; file "/%(file)s"; };\n'


class Zone(PanelController):
    """Zone files, and the list of zones that BIND includes."""

    verbose_name = "BIND zone"
    model = "panel.Zone"
    related_models = [("panel.Record", "zone")]

    def get_context(self, zone):
        return {
            "name": zone.name,
            "file": f"etc/bind/zones/{zone.name}.zone",
            "entry": f"etc/bind/zones.d/{zone.name}.conf",
        }

    def save(self, zone):
        context = self.get_context(zone)
        self.draft(context["file"], zone_file(zone))
        self.append(
            "if command -v named-checkzone > /dev/null; then named-checkzone %(name)s %(file)s.new; fi",
            context,
        )
        self.publish(context["file"])
        self.write(context["entry"], ENTRY % context)

    def delete(self, zone):
        self.append("rm -f %(entry)s %(file)s", self.get_context(zone))

    def commit(self):
        self.assemble("etc/bind/zones.d", "etc/bind/named.conf.zones")
        self.append("if [ -e run/named/named.pid ]; then rndc reload; fi")
        super().commit()


def zone_file(zone):
    """Return the text of a zone: its start of authority, its name server, its records."""
    head = ZONE % {name: getattr(zone, name) for name in ("name", "ttl", "name_server", "serial")}
    lines = (
        f"{record.name} IN {record.type} {records.as_zone_file(record.type, record.value)}\n"
        for record in zone.records.all()
    )
    return head + "".join(lines)
