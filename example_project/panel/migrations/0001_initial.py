# ruff: noqa: E501  the patterns are those of the validators

import django.core.validators
import django.db.models.deletion
from django.db import migrations, models

import example_project.panel.models
import example_project.panel.validators


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=64, unique=True, verbose_name="name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="e-mail")),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                ("created_at", models.DateTimeField(auto_now_add=True, verbose_name="created")),
            ],
            options={
                "verbose_name": "account",
                "verbose_name_plural": "accounts",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="DatabaseUser",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=32,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z][a-z0-9_]{0,31}\\Z",
                                "Use up to 32 lower-case letters, digits and '_', and start with a letter.",
                            ),
                            example_project.panel.validators.validate_not_reserved_user,
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "password",
                    models.CharField(
                        editable=False, help_text="A hash.", max_length=128, verbose_name="password"
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="database_users",
                        to="panel.account",
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "database user",
                "verbose_name_plural": "database users",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Database",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=32,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z][a-z0-9_]{0,31}\\Z",
                                "Use up to 32 lower-case letters, digits and '_', and start with a letter.",
                            ),
                            example_project.panel.validators.validate_not_reserved_database,
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="databases",
                        to="panel.account",
                        verbose_name="account",
                    ),
                ),
                (
                    "users",
                    models.ManyToManyField(
                        blank=True, related_name="databases", to="panel.databaseuser", verbose_name="users"
                    ),
                ),
            ],
            options={
                "verbose_name": "database",
                "verbose_name_plural": "databases",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Mailbox",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        max_length=254,
                        unique=True,
                        validators=[example_project.panel.validators.validate_mail_address],
                        verbose_name="address",
                    ),
                ),
                (
                    "password",
                    models.CharField(
                        editable=False, help_text="A hash.", max_length=128, verbose_name="password"
                    ),
                ),
                (
                    "quota",
                    models.PositiveIntegerField(
                        default=1024, help_text="Megabytes; 0 is no limit.", verbose_name="quota"
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mailboxes",
                        to="panel.account",
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "mailbox",
                "verbose_name_plural": "mailboxes",
                "ordering": ["address"],
            },
        ),
        migrations.CreateModel(
            name="Alias",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "address",
                    models.CharField(
                        max_length=254,
                        unique=True,
                        validators=[example_project.panel.validators.validate_mail_address],
                        verbose_name="address",
                    ),
                ),
                (
                    "mailbox",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="aliases",
                        to="panel.mailbox",
                        verbose_name="mailbox",
                    ),
                ),
            ],
            options={
                "verbose_name": "alias",
                "verbose_name_plural": "aliases",
                "ordering": ["address"],
            },
        ),
        migrations.CreateModel(
            name="SystemUser",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=31,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z][a-z0-9_-]{0,30}\\Z",
                                "Use up to 31 lower-case letters, digits, '-' and '_', and start with a letter.",
                            ),
                            example_project.panel.validators.validate_not_reserved_user,
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "shell",
                    models.CharField(
                        choices=[("/usr/sbin/nologin", "no login"), ("/bin/bash", "bash")],
                        default="/usr/sbin/nologin",
                        max_length=32,
                        verbose_name="shell",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="users",
                        to="panel.account",
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "system user",
                "verbose_name_plural": "system users",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Website",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        help_text="Names its folder and its files on the server.",
                        max_length=31,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[a-z][a-z0-9_-]{0,30}\\Z",
                                "Use up to 31 lower-case letters, digits, '-' and '_', and start with a letter.",
                            )
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("static", "static files"), ("php", "PHP")],
                        default="static",
                        max_length=16,
                        verbose_name="kind",
                    ),
                ),
                ("is_active", models.BooleanField(default=True, verbose_name="active")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="websites",
                        to="panel.systemuser",
                        verbose_name="system user",
                    ),
                ),
            ],
            options={
                "verbose_name": "website",
                "verbose_name_plural": "websites",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Domain",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=253,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?=.{1,253}\\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.)+(?!\\d+\\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\Z",
                                "Give a complete host name in lower case, such as www.example.com (punycode for other alphabets).",
                            )
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "website",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="domains",
                        to="panel.website",
                        verbose_name="website",
                    ),
                ),
            ],
            options={
                "verbose_name": "domain",
                "verbose_name_plural": "domains",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Zone",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=253,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?=.{1,253}\\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.)+(?!\\d+\\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\Z",
                                "Give a complete host name in lower case, such as www.example.com (punycode for other alphabets).",
                            )
                        ],
                        verbose_name="name",
                    ),
                ),
                (
                    "name_server",
                    models.CharField(
                        default="ns1.example.net",
                        max_length=253,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?=.{1,253}\\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\.)+(?!\\d+\\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\\Z",
                                "Give a complete host name in lower case, such as www.example.com (punycode for other alphabets).",
                            )
                        ],
                        verbose_name="name server",
                    ),
                ),
                (
                    "ttl",
                    models.PositiveIntegerField(
                        default=3600,
                        help_text="Seconds for which others may remember an answer.",
                        validators=[
                            django.core.validators.MinValueValidator(60),
                            django.core.validators.MaxValueValidator(604800),
                        ],
                        verbose_name="TTL",
                    ),
                ),
                (
                    "serial",
                    models.PositiveBigIntegerField(
                        default=example_project.panel.models.first_serial,
                        editable=False,
                        verbose_name="serial",
                    ),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="zones",
                        to="panel.account",
                        verbose_name="account",
                    ),
                ),
            ],
            options={
                "verbose_name": "zone",
                "verbose_name_plural": "zones",
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Record",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        default="@",
                        max_length=253,
                        validators=[example_project.panel.validators.validate_record_name],
                        verbose_name="name",
                    ),
                ),
                (
                    "type",
                    models.CharField(
                        choices=[
                            ("A", "A"),
                            ("AAAA", "AAAA"),
                            ("CNAME", "CNAME"),
                            ("MX", "MX"),
                            ("NS", "NS"),
                            ("TXT", "TXT"),
                        ],
                        default="A",
                        max_length=8,
                        verbose_name="type",
                    ),
                ),
                ("value", models.CharField(max_length=1024, verbose_name="value")),
                (
                    "zone",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="records",
                        to="panel.zone",
                        verbose_name="zone",
                    ),
                ),
            ],
            options={
                "verbose_name": "record",
                "verbose_name_plural": "records",
                "ordering": ["name", "type", "value"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("zone", "name", "type", "value"), name="panel_record_unique"
                    )
                ],
            },
        ),
    ]
