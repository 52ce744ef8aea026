"""The library behind the suite: it turns a Flux repository into what each cluster will get, and checks that.

Packages import only the ones above them in this list (an import rule checks it):
``model``, ``source``, ``engines``, ``flux``, ``rules``, ``compliance``, ``report``, ``commands``.
"""
