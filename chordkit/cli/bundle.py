"""``chordkit bundle``: the one signed file that ships."""

from pathlib import Path
from typing import Annotated

import typer

from chordkit.cli.apart import require_apart
from chordkit.cli.options import (
    UNVERIFIED,
    BundleArgument,
    DataOption,
    HistoriesOption,
    MasterOption,
    MinimumCounterOption,
    PublicKeysOption,
    RevokedOption,
    StrategiesOption,
    UserVectorsOption,
    read_revoked,
    read_strategies,
    read_user_vectors,
    tell_repeated,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, key_values, note, progress_bar, rows, writable_file
from chordkit.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Make, verify and inspect bundles, and differences between them.")


@app.command(
    epilog="Example: `chordkit bundle make --master master.chrm --artifacts artifacts --strategy 42.chrd --data shop.safetensors "
    "--key key.pem --counter 7 --out shop.chord`"
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
    counter: Annotated[
        int, typer.Option("--counter", min=0, max=2**53 - 1, help="Higher than that of the release before, so that no device goes back.")
    ] = 0,
    names: Annotated[
        bool, typer.Option("--names/--no-names", help="Whether the names and categories of the data set's items travel inside.")
    ] = True,
    sbom: Annotated[bool, typer.Option("--sbom", help="Put a bill of materials inside (CycloneDX; needs chordkit\\[sbom]).")] = False,
    histories: HistoriesOption = 1000,
    vectors: Annotated[int, typer.Option(min=1, help="Of these, how many travel inside as test vectors.")] = 64,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Check every artifact against the reference and put all of it into one file. A missed tolerance is status 1 and no file."""
    from dataclasses import replace

    from chordkit.data import load_named
    from chordkit.export.assembly import assemble
    from chordkit.export.bundle import load_private_key, write
    from chordkit.export.collection import Sources, read_folder
    from chordkit.quantization import MasterWeights
    from chordkit.training import load_backbone

    # What the folder holds is read, but for bundles that were made into it before.
    require_apart({"--out": out}, {"--artifacts": [file for file in artifacts.glob("*") if file.suffix != ".chord"]})
    # Before anything is computed: a bundle that cannot be signed is not wanted.
    signing_key = None if key is None else load_private_key(key)
    weights = MasterWeights.load(master)
    floats = None if backbone is None else load_backbone(backbone)[0]
    sources = Sources(weights, floats, read_strategies(strategy, weights), read_user_vectors(user_vector, weights))
    digest, made = read_folder(artifacts)
    if digest != weights.digest.hex():
        raise InputError(
            f"{artifacts}: these artifacts belong to master weights {digest}, not to {weights.digest.hex()}; export them again"
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
            names=names,
            seed=seed,
            progress=progress,
        )
    tell_repeated(dataset, histories)
    manifest = write(out, replace(contents, counter=counter, sbom=sbom), signing_key)
    payload = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "members": len(manifest.members),
        "counter": manifest.counter,
        "signed_by": manifest.signature.key if manifest.signature else None,
        "backbone": manifest.backbone.fingerprint,
    }
    emit(as_json, payload, lambda: key_values("bundle", payload))


@app.command(epilog="Example: `chordkit bundle verify shop.chord --public-key key.pub.pem --run`")
def verify(
    bundle: BundleArgument,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    run: Annotated[bool, typer.Option("--run", help="Also run every artifact over the test vectors inside.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a bundle to the last byte, and everything in it against everything else."""
    from chordkit.export.bundle import Bundle
    from chordkit.export.bundle import verify as verify_bundle

    with progress_bar() as progress:
        report = verify_bundle(
            bundle,
            public_key or None,
            revoked=read_revoked(revoked),
            minimum=minimum_counter,
            runner_factory=Bundle.runner if run else None,
            progress=progress,
        )
    payload = report.model_dump(mode="json")
    shown = {
        name: payload[name]
        for name in (
            "bytes",
            "fingerprint",
            "counter",
            "signed",
            "key",
            "signature_checked",
            "members",
            "strategies",
            "user_vectors",
            "passed",
        )
    }
    shown["checks"] = ", ".join(report.checks)
    if report.unchecked:
        shown["not checked, of unknown targets"] = ", ".join(report.unchecked)
    emit(as_json, payload, lambda: key_values(f"{bundle}: verified", shown))
    report.require()
    if run and not public_key:
        note(UNVERIFIED.format(bundle))


@app.command(epilog="Example: `chordkit bundle inspect shop.chord`")
def inspect(
    bundle: BundleArgument,
    public_key: PublicKeysOption = None,
    revoked: RevokedOption = None,
    minimum_counter: MinimumCounterOption = 0,
    as_json: JsonOption = False,
) -> None:
    """List what a bundle says of itself; without --public-key nobody vouches for it."""
    from rich.console import Group

    from chordkit.export.bundle import inspect as inspect_bundle

    summary = inspect_bundle(bundle, public_key or None, revoked=read_revoked(revoked), minimum=minimum_counter)
    head = {
        "bytes": summary.bytes,
        "of these not members": summary.overhead_bytes,
        "counter": summary.counter or "none",
        "signed by": (summary.key or "nobody") + ("" if summary.signature_checked or summary.key is None else ", as it says"),
        "backbone": f"{summary.backbone.architecture} {summary.backbone.fingerprint}",
        "data set": f"{summary.dataset.name}, {summary.dataset.items:,} items",
        "words for items": ", ".join(sorted(summary.words.members)) if summary.words else "none",
        "user vectors": ", ".join(entry.name for entry in summary.user_vectors) or "none",
        "test vectors": f"{summary.vectors.count} histories x {summary.vectors.candidates} candidates",
        "commit": summary.provenance.commit or "unknown",
        "seed": summary.provenance.seed,
        "lock, SHA-256": summary.provenance.lock_sha256 or "unknown",
        "SBOM": "none" if summary.sbom is None else summary.sbom.format,
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


@app.command(epilog="Example: `chordkit bundle diff shop-1.chord shop-2.chord --out shop-2.chordd`")
def diff(
    old: Annotated[Path, typer.Argument(help="The bundle that phones have (.chord).")],
    new: Annotated[Path, typer.Argument(help="The bundle that they are to have (.chord).")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the difference goes (.chordd).")],
    as_json: JsonOption = False,
) -> None:
    """Write the difference between two bundles. If it is no smaller than the new one, that is status 1 and no file: ship it whole."""
    from chordkit.export.bundle import difference_files

    found = difference_files(old, new, out)
    payload = {
        "file": str(out),
        "bytes": out.stat().st_size,
        "of": found.result_size,
        "share": out.stat().st_size / found.result_size,
        "base_sha256": found.base_sha256.hex(),
        "result_sha256": found.result_sha256.hex(),
    }
    emit(as_json, payload, lambda: key_values("difference", payload | {"share": f"{payload['share']:.1%}"}))


@app.command(epilog="Example: `chordkit bundle apply shop-1.chord shop-2.chordd --out shop-2.chord`")
def apply(
    old: Annotated[Path, typer.Argument(help="The bundle that is there (.chord).")],
    difference: Annotated[Path, typer.Argument(help="The difference to the one that is wanted (.chordd).")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where that one goes (.chord).")],
    as_json: JsonOption = False,
) -> None:
    """Make the new bundle of the old one and a difference; nothing is written unless it is that bundle to the last byte."""
    from chordkit.export.bundle import apply_difference_file

    found = apply_difference_file(old, difference, out)
    payload = {"file": str(out), "bytes": found.result_size, "sha256": found.result_sha256.hex()}
    emit(as_json, payload, lambda: key_values("bundle", payload))


@app.command(epilog="Example: `chordkit bundle key --private key.pem --public key.pub.pem`")
def key(
    private: Annotated[Path, typer.Option(callback=writable_file, help="Where the private key goes (PEM, readable by you alone).")],
    public: Annotated[Path, typer.Option(callback=writable_file, help="Where the public key goes (PEM).")],
    as_json: JsonOption = False,
) -> None:
    """Make a pair of keys to sign bundles with. Keys never depend on --seed."""
    from chordkit.export.bundle import generate_key_pair

    payload = {"private": str(private), "public": str(public), "key": generate_key_pair(private, public)}
    emit(as_json, payload, lambda: key_values("Ed25519 keys", payload))
