"""Compiles the native engine; everything else about the package is in setup.cfg.

Without a C compiler the package installs all the same, and ``chordkit.kernels`` says what is missing when it is used.
"""

import cffi  # noqa: F401  (setuptools ignores cffi_modules without a word when it is missing)
from setuptools import setup
from setuptools.command.build_ext import build_ext


class OptionalBuildExt(build_ext):
    """A failed compilation is a warning, not the end of the installation."""

    def run(self) -> None:
        for extension in self.extensions:
            extension.optional = True
        super().run()


setup(cffi_modules=["kernels/build.py:ffibuilder"], cmdclass={"build_ext": OptionalBuildExt})
