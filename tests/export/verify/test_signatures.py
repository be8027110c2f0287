"""The same signatures are valid in C as in Python, whichever library does the arithmetic."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

VERIFY = Path(__file__).parents[3] / "kernels" / "libchord" / "verify"
ADAPTERS = {"cryptography": None, "sodium": ("sodium.h", "-lsodium"), "openssl": ("openssl/evp.h", "-lcrypto")}

pytestmark = pytest.mark.checkout


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_golden_signatures_are_accepted_and_refused_with_every_library(
    adapter: str, verifier, golden: Callable, compile_verifier: Callable
) -> None:
    arithmetic = None
    if (needed := ADAPTERS[adapter]) is not None:
        header, link = needed
        name = f"ed25519_{adapter}"
        built = compile_verifier(f"{name}.so", "-shared", "-fvisibility=default", VERIFY / "adapters" / f"{name}.c", link, needs=header)
        arithmetic = getattr(ctypes.CDLL(str(built)), f"chord_{name}")
    vectors = golden("ed25519")
    for case in [*vectors["rfc8032"], *vectors["cases"]]:
        key, signature, message = (bytes.fromhex(case[name]) for name in ("key", "signature", "message"))
        assert verifier.is_valid(key, signature, message, arithmetic) is case.get("accept", True), case["case"]


def test_without_arithmetic_nothing_is_valid(verifier, golden: Callable) -> None:
    case = golden("ed25519")["rfc8032"][0]
    key, signature = (bytes.fromhex(case[name]) for name in ("key", "signature"))
    assert verifier.is_valid(key, signature, b"") and not verifier.is_valid(key, signature, b"", 0)


def test_what_libraries_differ_in_is_refused_whatever_the_library_says(verifier, forgiving: Any, golden: Callable) -> None:
    for case in golden("ed25519")["cases"]:
        key, signature, message = (bytes.fromhex(case[name]) for name in ("key", "signature", "message"))
        assert verifier.is_valid(key, signature, message, forgiving) is not case["strict"], case["case"]
