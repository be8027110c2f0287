"""The Android library and app without Gradle and without Google's SDK: from Debian's packages to a signed APK and an AAR.

::

    python -m scripts.android apk [--bundle FILE --key FILE...] [--out FILE]
    python -m scripts.android aar [--out FOLDER]
    python -m scripts.android tools       fetch what they and their tests need
    python -m scripts.android lock        pin the packages that are served now (a maintainer's work)

Everything is made in ``build/android``; packages are fetched once into the user's cache (:mod:`scripts.android.tools`). The same sources
and the same signing key give the same bytes.
"""
