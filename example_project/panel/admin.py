"""The stock admin over the panel's models."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from . import passwords
from .models import Account, Alias, Database, DatabaseUser, Domain, Mailbox, Record, SystemUser, Website, Zone


class PanelAdmin(admin.ModelAdmin):
    """Offers what names files on a server once only: a rename would leave the old files behind."""

    fixed = ["name"]

    def get_readonly_fields(self, request, obj=None):
        fields = super().get_readonly_fields(request, obj)
        return [*fields, *self.fixed] if obj else fields


class PasswordForm(forms.ModelForm):
    """Takes a new password, and stores its hash only."""

    new_password = forms.CharField(
        label=_("New password"),
        min_length=10,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.fields["new_password"].required = False
            self.fields["new_password"].help_text = _("Leave it empty to keep the old one.")

    def save(self, commit=True):
        if password := self.cleaned_data["new_password"]:
            self.instance.password = self.hash(password)
        return super().save(commit)


class MailboxForm(PasswordForm):
    hash = staticmethod(passwords.for_mailbox)


class DatabaseUserForm(PasswordForm):
    hash = staticmethod(passwords.for_database)


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "is_active", "created_at"]
    list_filter = ["is_active"]
    search_fields = ["name", "email"]
    readonly_fields = ["created_at"]


@admin.register(SystemUser)
class SystemUserAdmin(PanelAdmin):
    list_display = ["name", "account", "shell"]
    list_filter = ["shell"]
    list_select_related = ["account"]
    search_fields = ["name"]
    autocomplete_fields = ["account"]


class DomainInline(admin.TabularInline):
    model = Domain
    extra = 1


@admin.register(Website)
class WebsiteAdmin(PanelAdmin):
    fixed = ["name", "user"]
    list_display = ["name", "user", "kind", "is_active"]
    list_filter = ["kind", "is_active"]
    list_select_related = ["user"]
    search_fields = ["name", "domains__name"]
    autocomplete_fields = ["user"]
    inlines = [DomainInline]
    fieldsets = [
        (None, {"fields": ["name", "user"]}),
        (_("Delivery"), {"fields": ["kind", "is_active"]}),
    ]


class RecordInline(admin.TabularInline):
    model = Record
    extra = 1


@admin.register(Zone)
class ZoneAdmin(PanelAdmin):
    list_display = ["name", "account", "serial"]
    list_select_related = ["account"]
    search_fields = ["name"]
    autocomplete_fields = ["account"]
    readonly_fields = ["serial"]
    inlines = [RecordInline]
    fieldsets = [
        (None, {"fields": ["name", "account"]}),
        (_("Start of authority"), {"fields": ["name_server", "ttl", "serial"]}),
    ]


@admin.register(DatabaseUser)
class DatabaseUserAdmin(PanelAdmin):
    form = DatabaseUserForm
    list_display = ["name", "account"]
    list_select_related = ["account"]
    search_fields = ["name"]
    autocomplete_fields = ["account"]
    fields = ["name", "account", "new_password"]


@admin.register(Database)
class DatabaseAdmin(PanelAdmin):
    list_display = ["name", "account"]
    list_select_related = ["account"]
    search_fields = ["name"]
    autocomplete_fields = ["account"]
    filter_horizontal = ["users"]


class AliasInline(admin.TabularInline):
    model = Alias
    extra = 1


@admin.register(Mailbox)
class MailboxAdmin(PanelAdmin):
    fixed = ["address"]
    form = MailboxForm
    list_display = ["address", "account", "quota"]
    list_select_related = ["account"]
    search_fields = ["address", "aliases__address"]
    autocomplete_fields = ["account"]
    inlines = [AliasInline]
    fields = ["address", "account", "new_password", "quota"]
