"""Signatures of an APK: schemes 2 and 3, over the whole file. Scheme 1, which signs members one by one, is for Android before 7."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from chordkit.files import write_together
from scripts.android.layout import MIN_SDK
from scripts.android.process import BuildError
from scripts.android.tools import Tools

_APKSIGNER = ("com.android.apksigner.ApkSignerTool", "apksigner")


def signing_key(folder: Path) -> tuple[Path, Path]:
    """The RSA key and its certificate in ``folder``, made when they are not there.

    A phone takes an update only from whoever signed what is installed: who publishes an app keeps this folder, and shows it to nobody.

    Raises:
        BuildError: one of the two is there, and its other half is not.
    """
    key_path, certificate_path = folder / "key.pk8", folder / "certificate.pem"
    if not (key_path.is_file() and certificate_path.is_file()):
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chordkit, made by make apk")])
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start.replace(year=start.year + 30))
            .sign(key, hashes.SHA256())
        )
        secret = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        public = certificate.public_bytes(serialization.Encoding.PEM)
        try:
            write_together({key_path: (secret, True), certificate_path: (public, False)})
        except FileExistsError as error:
            raise BuildError(f"{error.filename}: is here, but not the other of {key_path.name} and {certificate_path.name}") from None
    return key_path, certificate_path


def sign(tools: Tools, unsigned: Path, signed: Path, key: Path, certificate: Path) -> None:
    """Sign an aligned APK.

    Raises:
        BuildError: the key or the APK is not such a thing.
    """
    schemes = ["--v1-signing-enabled", "false", "--v2-signing-enabled", "true", "--v3-signing-enabled", "true"]
    schemes += ["--v4-signing-enabled", "false"]
    arguments: list[str | Path] = [
        "sign",
        "--key",
        key,
        "--cert",
        certificate,
        "--min-sdk-version",
        str(MIN_SDK),
        *schemes,
        "--out",
        signed,
        unsigned,
    ]
    tools.java(*_APKSIGNER, arguments, "signing the APK")


def verify(tools: Tools, apk: Path) -> str:
    """What apksigner says of a signed APK.

    Raises:
        BuildError: a phone would not accept it.
    """
    arguments: list[str | Path] = ["verify", "--verbose", "--print-certs", "--min-sdk-version", str(MIN_SDK), apk]
    return tools.java(*_APKSIGNER, arguments, "verifying the APK's signatures")
