"""``chordkit bundle``: the one signed file that ships."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.options import (
    BundleArgument,
    DataOption,
    MasterOption,
    PublicKeyOption,
    StrategiesOption,
    UserVectorsOption,
    read_strategies,
    read_user_vectors,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, progress_bar, rows, writable_file
from chordkit.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make, verify and inspect bundles.")


@app.command(
    epilog="Example: `chordkit bundle make --master master.chrm --artifacts artifacts --strategy 42.chrd --data shop.safetensors "
    "--key key.pem --out shop.chord`"
)
def make(
    master: MasterOption,
    artifacts: Annotated[Path, typer.Option("--artifacts", help="An export folder: what `chordkit export` wrote.")],
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the bundle goes (.chord).")],
    strategy: StrategiesOption = None,
    user_vector: UserVectorsOption = None,
    backbone: Annotated[
        Path | None, typer.Option("--backbone", "-b", help="The float backbone, when fp32 artifacts are among them.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", help="Private Ed25519 key (PEM) to sign with; see `chordkit bundle key`.")] = None,
    histories: Annotated[int, typer.Option(min=1, help="Real histories to check parity on.")] = 1000,
    vectors: Annotated[int, typer.Option(min=1, help="Of these, how many travel inside as test vectors.")] = 64,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check every artifact against the reference and put all of it into one file. A missed tolerance is status 1 and no file."""
    from chordkit.data import load_named
    from chordkit.export.assembly import assemble
    from chordkit.export.bundle import load_private_key, write
    from chordkit.export.collection import Sources, read_folder
    from chordkit.quantization import MasterWeights
    from chordkit.training import load_backbone

    # Before anything is computed: a bundle that cannot be signed is not wanted.
    signing_key = None if key is None else load_private_key(key)
    weights = MasterWeights.load(master)
    floats = None if backbone is None else load_backbone(backbone)[0]
    sources = Sources(weights, floats, read_strategies(strategy, weights), read_user_vectors(user_vector, weights))
    fingerprint, made = read_folder(artifacts)
    if fingerprint != weights.fingerprint.hex():
        raise InputError(
            f"{artifacts}: these artifacts belong to the backbone {fingerprint}, not to {weights.fingerprint.hex()}; export them again"
        )
    with progress_bar() as progress:
        dataset = load_named(data, seed=seed, progress=progress)
        contents = assemble(
            out.stem,
            sources,
            dataset,
            made,
            histories=histories,
            vectors=vectors,
            seed=seed,
            progress=progress,
        )
    manifest = write(out, contents, signing_key)
    payload = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "members": len(manifest.members),
        "signed_by": manifest.signature.key if manifest.signature else None,
        "backbone": manifest.backbone.fingerprint,
    }
    emit(as_json, payload, lambda: key_values("bundle", payload))


@app.command(epilog="Example: `chordkit bundle verify shop.chord --public-key key.pub.pem --run`")
def verify(
    bundle: BundleArgument,
    public_key: PublicKeyOption = None,
    run: Annotated[bool, typer.Option("--run", help="Also run every artifact over the test vectors inside.")] = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle to the last byte."""
    from chordkit.export.bundle import Bundle
    from chordkit.export.bundle import verify as verify_bundle

    with progress_bar() as progress:
        report = verify_bundle(bundle, public_key, runner_factory=Bundle.runner if run else None, progress=progress)
    payload = report.model_dump(mode="json")
    shown = {
        name: payload[name]
        for name in ("bytes", "fingerprint", "signed", "key", "signature_checked", "members", "strategies", "user_vectors", "passed")
    }
    shown["checks"] = ", ".join(report.checks)
    emit(as_json, payload, lambda: key_values(f"{bundle}: verified", shown))
    report.require()


@app.command(epilog="Example: `chordkit bundle inspect shop.chord`")
def inspect(bundle: BundleArgument, seed: SeedOption = 0, as_json: JsonOption = False) -> None:
    """List what a bundle says of itself, without vouching for it."""
    from rich.console import Group

    from chordkit.export.bundle import inspect as inspect_bundle

    summary = inspect_bundle(bundle)
    head = {
        "bytes": summary.bytes,
        "of these not members": summary.overhead_bytes,
        "signed by": summary.key or "nobody",
        "backbone": f"{summary.backbone.architecture} {summary.backbone.fingerprint}",
        "data set": f"{summary.dataset.name}, {summary.dataset.items:,} items",
        "user vectors": ", ".join(entry.name for entry in summary.user_vectors) or "none",
        "test vectors": f"{summary.vectors.count} histories x {summary.vectors.candidates} candidates",
        "commit": summary.provenance.commit or "unknown",
        "seed": summary.provenance.seed,
    }
    artifacts = [
        [entry.name, entry.strategy or "", " ".join(f"{package} {version}" for package, version in entry.requires.items()),
         "" if entry.parity is None else "passed" if entry.parity.passed else "FAILED"]
        for entry in summary.artifacts
    ]  # fmt: skip
    members = [[member.name, f"{member.bytes:,}", member.sha256[:16]] for member in summary.members]
    emit(
        as_json,
        summary.model_dump(mode="json"),
        lambda: Group(
            key_values(str(bundle), head),
            rows("artifacts", ["name", "strategy", "made and checked with", "parity"], artifacts),
            rows("members", ["name", "bytes", "SHA-256 begins"], members),
        ),
    )


@app.command(epilog="Example: `chordkit bundle key --private key.pem --public key.pub.pem`")
def key(
    private: Annotated[Path, typer.Option(callback=writable_file, help="Where the private key goes (PEM, readable by you alone).")],
    public: Annotated[Path, typer.Option(callback=writable_file, help="Where the public key goes (PEM).")],
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Make a pair of keys to sign bundles with. Keys never depend on --seed."""
    from chordkit.export.bundle import generate_key_pair

    payload = {"private": str(private), "public": str(public), "key": generate_key_pair(private, public)}
    emit(as_json, payload, lambda: key_values("Ed25519 keys", payload))
