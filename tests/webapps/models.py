"""Models that the tests save and delete: shaped like those of a hosting panel."""

from django.conf import settings
from django.db import models


class Domain(models.Model):
    name = models.CharField(max_length=253, unique=True)

    def __str__(self):
        return self.name


class Target(models.Model):
    name = models.CharField(max_length=64)

    def __str__(self):
        return self.name


class WebApp(models.Model):
    TYPES = [("wordpress-php", "WP"), ("static", "Static"), ("php", "PHP")]

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="webapps")
    name = models.CharField(max_length=64)
    type = models.CharField(max_length=32, choices=TYPES, default="static")
    target = models.ForeignKey(Target, models.SET_NULL, null=True, blank=True, related_name="webapps")
    data = models.JSONField(default=dict, blank=True)
    size_mb = models.IntegerField(default=1)
    is_active = models.BooleanField(default=True)
    created = models.DateTimeField(auto_now_add=True)
    domains = models.ManyToManyField(Domain, blank=True, related_name="webapps")
    comment = models.TextField(blank=True)

    def __str__(self):
        return self.name

    @property
    def is_big(self):
        return self.size_mb > 1000

    def get_protocol(self):
        return "https"

    get_protocol.route_safe = True


class WordPress(WebApp):
    """A child in a table of its own."""

    version = models.CharField(max_length=16, default="6")


class StaticApp(WebApp):
    """A proxy."""

    class Meta:
        proxy = True


class Page(models.Model):
    """Something a web app has many of."""

    webapp = models.ForeignKey(WebApp, models.CASCADE, null=True, related_name="pages")
    path = models.CharField(max_length=64)

    def __str__(self):
        return self.path


class Membership(models.Model):
    """An explicit through model."""

    mailinglist = models.ForeignKey("MailingList", models.CASCADE)
    domain = models.ForeignKey(Domain, models.CASCADE)
    note = models.CharField(max_length=64, blank=True)


class MailingList(models.Model):
    name = models.CharField(max_length=64)
    domains = models.ManyToManyField(Domain, through=Membership, related_name="lists")

    def __str__(self):
        return self.name


class Mailbox(models.Model):
    """Has a key that is no number."""

    address = models.CharField(max_length=128, primary_key=True)
    quota = models.IntegerField(default=0)

    def __str__(self):
        return self.address


class Unwatched(models.Model):
    """No backend of any test names it."""

    name = models.CharField(max_length=64)

    def __str__(self):
        return self.name


class Peer(models.Model):
    """Linked with others of its kind, both ways at once."""

    name = models.CharField(max_length=64)
    friends = models.ManyToManyField("self")

    def __str__(self):
        return self.name


class Feed(models.Model):
    """Known by its slug to those who are linked with it."""

    slug = models.SlugField(unique=True)

    def __str__(self):
        return self.slug


class Subscription(models.Model):
    """Points to something else than a key."""

    reader = models.ForeignKey("Reader", models.CASCADE)
    feed = models.ForeignKey(Feed, models.CASCADE, to_field="slug")


class Reader(models.Model):
    name = models.CharField(max_length=64)
    feeds = models.ManyToManyField(Feed, through=Subscription, related_name="readers")

    def __str__(self):
        return self.name


class Volume(models.Model):
    """Has a value that the database computes."""

    size = models.IntegerField()
    twice = models.GeneratedField(
        expression=models.F("size") * 2, output_field=models.IntegerField(), db_persist=True
    )
