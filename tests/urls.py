"""The URLs of the test suite: the admin; tests add their own views with ``settings.ROOT_URLCONF``."""

from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
