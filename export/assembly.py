"""From artifacts to a checked bundle, and from a bundle back to running artifacts."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np
import torch

from chordkit.backbones import Backbone, from_master
from chordkit.data import Dataset, split
from chordkit.errors import InputError
from chordkit.export import bundle as bundles
from chordkit.export.artifact import Artifact
from chordkit.export.bundle import ArtifactContents, ArtifactEntry, Bundle, BundleContents, Keys, Provenance, dataset_section, fitting_words
from chordkit.export.collection import Sources, require_origin
from chordkit.export.judge import judge
from chordkit.export.parity import ParityReport, ScoresFn, VectorSet, depth_for, draw, references
from chordkit.export.stages import ArtifactStages, Elsewhere, Subject, walk
from chordkit.export.targets import all_targets, find_target, load_runner, runtime_range
from chordkit.hypernetwork.likelihood import best_temperature
from chordkit.progress import Progress
from chordkit.provenance import checkout, lock
from chordkit.quantization import MasterWeights
from chordkit.strategy import to_wire

_PACKAGES = ("chordkit", "torch", "numpy")
_ENCODED_AT_ONCE = 256
_CANDIDATES = 100  # of test inputs, where no artifact is given any


def vectors_from(dataset: Dataset, max_length: int, *, histories: int, candidates: int, seed: int) -> VectorSet:
    """Draw test inputs from the held-out last items of a data set."""
    part = split(dataset, max_length).test
    return draw(part.histories, part.targets, dataset.items, count=histories, candidates=candidates, seed=seed)


def check_artifact(artifact: ArtifactContents, sources: Sources, vectors: VectorSet) -> ParityReport:
    """Run an artifact on its runtime over ``vectors`` and compare it with the scores of its reference."""
    strategy = None if artifact.strategy is None else sources.strategies[artifact.strategy]
    widths = None if strategy is None else strategy.widths
    target = find_target(artifact.target)
    target.require_runtime(runtime_range(artifact, sources.master, widths), artifact.name)
    data = sources.master.to_bytes() if artifact.data is None else artifact.data
    master = sources.master.to_bytes() if target.capability.master else None
    wire = None if strategy is None else to_wire(strategy)
    runner = load_runner(artifact.target, data, strategy=wire, candidates=artifact.candidates, master=master)
    return judge(artifact, runner, sources.master, widths, vectors, data=data)


def assemble(
    name: str,
    sources: Sources,
    dataset: Dataset,
    artifacts: Sequence[ArtifactContents],
    *,
    histories: int = 1000,
    vectors: int = 64,
    names: bool = True,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    metrics: dict[str, float] | None = None,
    progress: Progress | None = None,
) -> BundleContents:
    """Check every artifact on ``histories`` real histories and gather all that a bundle needs.

    Args:
        name: of the bundle.
        sources: master, float backbone and strategies the artifacts were made from.
        dataset: whose held-out histories are used.
        artifacts: as exported; their ``parity`` is filled in here, passed or not.
        histories: compared per artifact.
        vectors: of these, how many travel in the bundle.
        names: whether the data set's names and categories of items travel too, on one line each and cut where they are too long.
        seed: of the choice of histories and candidates.
        options: of training, for the manifest's provenance.
        metrics: of training, likewise.
        progress: called with (phase, done, total).

    Raises:
        InputError: an fp32 artifact comes without the float backbone, artifacts take a user vector and none is given or the other way
            round, or the data set is not the backbone's.
    """
    counts = {artifact.candidates for artifact in artifacts if not artifact.catalogue} or {min(_CANDIDATES, dataset.items)}
    if len(counts) != 1:
        raise InputError(f"artifacts with {sorted(counts)} candidates cannot share a bundle; export them with one number")
    _require_user_vectors(artifacts, sources)
    _require_items(dataset, sources.master)
    if sources.backbone is not None:
        require_origin(sources.master, sources.backbone)
    drawn = vectors_from(dataset, _max_length(sources.master), histories=histories, candidates=counts.pop(), seed=seed)
    if sources.user_vectors:
        drawn = drawn.with_users([vector.values for vector in sources.user_vectors.values()])
    known = references(sources.master, sources.backbone, sources.strategies)
    used = {artifact.reference for artifact in artifacts}
    if missing := used - known.keys():
        name = sorted(missing)[0]
        wanted = "the float backbone (--backbone)" if name == "fp32" else f"the strategy {name} (--strategy {name}.chrd)"
        raise InputError(f"the artifacts need {wanted} as a reference; give it, or export without it")
    drawn = _with_references(drawn, artifacts, known, sources.master.items)
    checked = []
    for done, artifact in enumerate(artifacts):
        if progress is not None:
            progress("parity", done, len(artifacts))
        checked.append(artifact.model_copy(update={"parity": check_artifact(artifact, sources, drawn)}))
    if progress is not None:
        progress("parity", len(artifacts), len(artifacts))
    return BundleContents(
        name=name,
        master=sources.master,
        dataset=dataset_section(dataset),
        item_ids=list(dataset.item_ids),
        item_names=fitting_words(dataset.item_names) if names else (),
        item_categories=fitting_words(dataset.item_categories) if names else (),
        artifacts=checked,
        strategies=sources.strategies,
        user_vectors=sources.user_vectors,
        temperature=fitted_temperature(sources, dataset, histories),
        vectors=drawn.head(vectors),
        provenance=provenance(seed, options, metrics),
    )


@torch.no_grad()
def fitted_temperature(sources: Sources, dataset: Dataset, histories: int) -> float | None:
    """What scores are divided by to be logits of what people choose; None where the data set has no items to fit it on.

    Fitted on the items before the last ones, of at most ``histories`` users evenly spaced; what a user has seen does not compete. The
    users run in turn under the strategies, eight at most, each with the user vector of its name; at 8 bits where there are none. Four
    digits, for its standard error is about 0.01.
    """
    part = split(dataset, _max_length(sources.master)).valid
    if not len(part):
        return None
    users = np.unique(part.users)
    part = part.of_users(users[np.unique(np.linspace(0, len(users) - 1, histories).astype(np.int64))])
    names: list[str | None] = [*list(sources.strategies)[:8]] or [None]
    states = torch.empty((len(part), sources.master.dim))
    for turn, name in enumerate(names):
        model = from_master(sources.master, None if name is None else sources.strategies[name].widths)
        user = sources.user_vectors.get(name or "")
        values = None if user is None else torch.from_numpy(user.values)[None]
        for rows in torch.arange(turn, len(part), len(names)).split(_ENCODED_AT_ONCE):
            states[rows] = model.encode_personal(torch.from_numpy(part.histories)[rows].long(), values)
    return float(f"{best_temperature(model, states, part, masked=True):.4g}")


def validate_bundle(
    path: str | os.PathLike[str],
    dataset: Dataset | None = None,
    backbone: Backbone | None = None,
    artifacts: Sequence[str] | None = None,
    *,
    histories: int = 1000,
    public_key: Keys | None = None,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, ParityReport]:
    """Run the artifacts of a bundle and compare them with the reference.

    Args:
        path: the bundle; it is verified first.
        dataset: draw ``histories`` real histories from it; None = the test vectors inside the bundle.
        backbone: the float model, reference of fp32 artifacts, with ``dataset``.
        artifacts: names; None = all.
        histories: with ``dataset``: how many.
        public_key: required signer, or several that are accepted.
        revoked: identifiers of keys that are no longer accepted.
        minimum: the lowest counter that is accepted.
        seed: of the choice of histories and candidates.
        progress: called with (phase, done, total).

    Raises:
        BundleError: the bundle is refused.
        InputError: the data set is not the backbone's, or an fp32 artifact has no reference.
        MissingRuntimeError: a runtime is not installed.
    """
    with bundles.open(path, public_key, revoked=revoked, minimum=minimum) as bundle:
        entries = [bundle.artifact_entry(name) for name in artifacts or [entry.name for entry in bundle.manifest.artifacts]]
        vectors, master = _vectors_of(path, bundle, entries, dataset, backbone, histories, seed), bundle.master()
        reports = {}
        for done, entry in enumerate(entries):
            if progress is not None:
                progress("validate", done, len(entries))
            widths = None if entry.strategy is None else bundle.strategy(entry.strategy).widths
            reports[entry.name] = judge(entry, bundle.runner(entry), master, widths, vectors, data=bundle.artifact(entry.name))
        if progress is not None:
            progress("validate", len(entries), len(entries))
        return reports


def walk_bundle(
    path: str | os.PathLike[str],
    dataset: Dataset | None = None,
    backbone: Backbone | None = None,
    artifacts: Sequence[str] | None = None,
    *,
    elsewhere: Callable[[MasterWeights], Elsewhere] | None = None,
    histories: int = 1000,
    public_key: Keys | None = None,
    revoked: Iterable[str] = (),
    minimum: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ArtifactStages]:
    """Walk over the stages of the artifacts of a bundle (:mod:`chordkit.export.stages`); arguments and errors as :func:`validate_bundle`.

    Args:
        elsewhere: given the master, what runs files on arm64; None = that stage is not looked at.
    """
    with bundles.open(path, public_key, revoked=revoked, minimum=minimum) as bundle:
        entries = [bundle.artifact_entry(name) for name in artifacts or [entry.name for entry in bundle.manifest.artifacts]]
        vectors, master = _vectors_of(path, bundle, entries, dataset, backbone, histories, seed), bundle.master()
        if backbone is not None and list(backbone.channel_layers()) != list(master.layers):
            raise InputError(f"{path}: the float backbone is of another architecture or size than the bundle's; give the one behind it")
        machine = None if elsewhere is None else elsewhere(master)
        results = []
        for entry in entries:
            strategy = None if entry.strategy is None else bundle.strategy(entry.strategy)
            subject = Subject(entry, bytes(bundle.artifact(entry.name)), master, strategy, backbone, vectors)
            results.append(walk(subject, machine, progress))
        return results


def _vectors_of(
    path: str | os.PathLike[str],
    bundle: Bundle,
    entries: Sequence[ArtifactEntry],
    dataset: Dataset | None,
    backbone: Backbone | None,
    histories: int,
    seed: int,
) -> VectorSet:
    """What a bundle's artifacts are compared over: its test vectors, or as many histories of a data set with the scores they must give."""
    vectors, master = bundle.vectors(), bundle.master()
    if dataset is None:
        return vectors
    _require_items(dataset, master)
    drawn = vectors_from(dataset, vectors.histories.shape[1], histories=histories, candidates=vectors.candidates.shape[1], seed=seed)
    if bundle.manifest.user_vectors:
        drawn = drawn.with_users([bundle.user_vector(entry.name).values for entry in bundle.manifest.user_vectors])
    known = references(master, backbone, {entry.name: bundle.strategy(entry.name) for entry in bundle.manifest.strategies})
    for entry in entries:
        if entry.reference not in known:
            raise InputError(f"{path}: artifact {entry.name} is held against the float backbone; give it (--backbone), or choose others")
    return _with_references(drawn, entries, known, master.items)


def _with_references(drawn: VectorSet, artifacts: Sequence[Artifact], known: Mapping[str, ScoresFn], items: int) -> VectorSet:
    """Test inputs with the scores that artifacts must give, and for those that choose among all items the reference's best."""
    drawn = drawn.with_scores({name: known[name] for name in sorted({artifact.reference for artifact in artifacts})})
    tops = {artifact.reference: artifact.top or 0 for artifact in sorted(artifacts, key=lambda each: each.top or 0) if artifact.catalogue}
    depth = depth_for(max(tops.values(), default=0), items)
    return drawn.with_best({name: known[name] for name in sorted(tops)}, depth) if tops else drawn


def provenance(seed: int, options: dict[str, Any] | None = None, metrics: dict[str, float] | None = None) -> Provenance:
    """Where a bundle comes from: seed, options, metrics, package versions, their lock, and the commit when run from a checkout."""
    commit, changed = checkout()
    return Provenance(
        seed=seed,
        commit=None if commit is None else commit[:12] + ("+" if changed else ""),
        versions={name: metadata.version(name) for name in _PACKAGES},
        lock_sha256=lock({target.capability.extra for target in all_targets() if target.capability.extra is not None}),
        options={key: value for key, value in (options or {}).items() if isinstance(value, (str, int, float, bool))},
        metrics=metrics or {},
    )


def _max_length(master: MasterWeights) -> int:
    return int(master.config["max_length"])  # type: ignore[arg-type]


def _require_user_vectors(artifacts: Sequence[ArtifactContents], sources: Sources) -> None:
    takes = {artifact.user_vector for artifact in artifacts}
    if len(takes) > 1:
        raise InputError("artifacts that take a user vector cannot share a bundle with artifacts that take none; export them together")
    if True in takes and not sources.user_vectors:
        raise InputError("the artifacts take a user vector and none is given to check them with; give one (--user-vector NAME.chru)")
    if False in takes and sources.user_vectors:
        raise InputError("the artifacts take no user vector and one is given; export them with it (--user-vector), or leave it out")


def _require_items(dataset: Dataset, master: MasterWeights) -> None:
    if dataset.items != master.items:
        raise InputError(
            f"data set '{dataset.name}' has {dataset.items} items, the backbone {master.items}; give the data set it was trained on"
        )
