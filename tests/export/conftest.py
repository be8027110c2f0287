"""A toy bundle in memory, and ways to spoil it, for the tests of the bundle format."""

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chordkit.errors import BundleError
from chordkit.export import bundle
from chordkit.export.bundle import ArtifactContents, BundleContents, DatasetSection, Provenance
from chordkit.export.bundle import container as bundle_zip
from chordkit.export.parity import FP32_TOLERANCE, compare, draw
from chordkit.quantization import MasterLayer, MasterWeights, quantize_rows, quantize_table
from chordkit.strategy import Strategy, UserVector, uniform

Change = Callable[[dict[str, Any]], None]


class Toy:
    """What a toy bundle is made of, and bundles with one thing wrong."""

    ITEMS, LENGTH, CANDIDATES = 9, 4, 5
    KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    PUBLIC = KEY.public_key()
    TFLITE = b"\x0c\0\0\0TFL3\x04\0\x04\0\x04\0\0\0" + b"x" * 64  # what a .tflite begins with, and no model

    def master(self, seed: int = 0) -> MasterWeights:
        generator = np.random.default_rng(seed)
        layers = {
            f"blocks.0.{name}": MasterLayer(
                quantize_rows(generator.standard_normal((4, 4)).astype(np.float32), "mse"), generator.standard_normal(4).astype(np.float32)
            )
            for name in ("query", "ffn1")
        }
        table = quantize_table(generator.standard_normal((self.ITEMS + 1, 4)).astype(np.float32))
        config = {"architecture": "sasrec", "items": self.ITEMS, "max_length": self.LENGTH, "norm_eps": 1e-12, "heights": (2, 3)}
        return MasterWeights(config, layers, {"item_embedding": table}, {"final_norm.weight": np.ones(4, np.float32)})  # type: ignore[arg-type]

    def scores(self, histories: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """A stand-in for a model: all that matters here is that it can be computed again."""
        return np.sin(candidates * 1.7 + histories.sum(1, keepdims=True)).astype(np.float32)

    def contents(self, **changes: Any) -> BundleContents:
        master = self.master()
        histories, targets = np.array([[0, 0, 1, 2], [3, 4, 5, 6], [7, 8, 9, 1]], np.int32), np.array([3, 7, 2])
        vectors = draw(histories, targets, self.ITEMS, count=3, candidates=self.CANDIDATES).with_scores(
            {"fp32": self.scores, "int8": lambda h, c: 2 * self.scores(h, c), "user-1": lambda h, c: 3 * self.scores(h, c)}
        )
        one = uniform(master.channel_table, 4, master.fingerprint)
        off = Strategy(np.array([0, 2, 4, 8, 0, 2, 4, 8], np.uint8), master.fingerprint)
        parity = compare(vectors.scores["fp32"], vectors.scores["fp32"], FP32_TOLERANCE)
        float32 = self.artifact("litert-fp32", "litert", self.TFLITE, requires={"ai-edge-litert": "2.3.0"}, parity=parity)
        native = self.artifact("native-user-1", "native", None, "strategy", strategy="user-1", activations="int8", parity=parity)
        contents = BundleContents(
            name="toy",
            master=master,
            dataset=DatasetSection(name="toy", fingerprint="0" * 64, users=3, items=self.ITEMS, interactions=20),
            item_ids=["", *(f"ïtem {index}" for index in range(1, self.ITEMS + 1))],
            item_names=["", "Sock", 'The "long" one', "", "back\\slash, or two\\", "é \u200d \U0001f9e6", "جورب", "", "a" * 200, "Sock"],
            item_categories=["", "wool, warm", "", *["wool"] * 7],
            artifacts=[float32, native],
            strategies={"user-1": one, "user-2": off},
            vectors=vectors,
            provenance=Provenance(
                seed=7, commit="abc", versions={"torch": "2.13.0"}, options={"lr": 0.001, "cut": None}, metrics={"ndcg10": 0.0687}
            ),
        )
        return dataclasses.replace(contents, **changes)

    def grown_contents(self) -> BundleContents:
        """The same with an item more in the catalogue, and the strategies of before."""
        before = self.contents()
        return dataclasses.replace(
            before,
            master=before.master.grown(np.full((1, 4), 0.5, np.float32)),
            dataset=before.dataset.model_copy(update={"items": self.ITEMS + 1}),
            item_ids=[*before.item_ids, "new"],
            item_names=[*before.item_names, "New"],
            item_categories=[*before.item_categories, ""],
        )

    def user_vector(self, seed: int = 0, master: MasterWeights | None = None) -> UserVector:
        """A user vector of the toy's dim for its master, or for another one."""
        codes = np.random.default_rng(seed).integers(-127, 128, 4).astype(np.int8)
        return UserVector(codes, 0.01, (master or self.master()).fingerprint)

    def personal_contents(self, **changes: Any) -> BundleContents:
        """The same with the user vectors of a user who has a strategy and of one who has none."""
        contents = self.contents()
        user_vectors = {"user-1": self.user_vector(1), "user-3": self.user_vector(3)}
        with_users = contents.vectors.with_users([vector.values for vector in user_vectors.values()])
        personal = dataclasses.replace(
            contents,
            artifacts=[artifact.model_copy(update={"user_vector": True}) for artifact in contents.artifacts],
            vectors=dataclasses.replace(with_users, scores=contents.vectors.scores),
            user_vectors=user_vectors,
        )
        return dataclasses.replace(personal, **changes)

    def old_runtime_contents(self, **changes: Any) -> BundleContents:
        """The same with an artifact more, which is made for a runtime by name."""
        contents = self.contents()
        parity = contents.artifacts[0].parity
        old = self.artifact("tflite-2.14-int8", "litert", self.TFLITE, "int8", runtime="tflite-2.14", layout="speed", parity=parity)
        changes = {"artifacts": [*contents.artifacts, old.model_copy(update={"requires": {"ai-edge-litert": "2.3.0"}})], **changes}
        return dataclasses.replace(contents, **changes)

    def artifact(self, name: str, target: str, data: bytes | None, precision: str = "fp32", **more: Any) -> ArtifactContents:
        fields = {"activations": "fp32", "candidates": self.CANDIDATES, **more}
        return ArtifactContents(name=name, target=target, precision=precision, data=data, **fields)

    def read(self, data: bytes, key: object = PUBLIC) -> bundle.Bundle:
        return bundle.read(memoryview(data), "x.chord", key)  # type: ignore[arg-type]

    def refused(self, data: bytes, key: object) -> str:
        """What is said about a bundle that must be refused."""
        with pytest.raises(BundleError) as caught:
            self.read(data, key)
        return str(caught.value)

    def members(self, path: Path) -> dict[str, bytes]:
        return self.members_of(path.read_bytes())

    def members_of(self, data: bytes) -> dict[str, bytes]:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def rebuilt(self, members: dict[str, bytes]) -> bytes:
        stream = io.BytesIO()
        bundle_zip.write(stream, list(members.items()))
        return stream.getvalue()

    def spelled(self, document: dict[str, Any]) -> bytes:
        """A manifest as chordkit writes it."""
        return (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()

    def with_manifest(self, members: dict[str, bytes], change: Change) -> bytes:
        """The bundle with a changed manifest, in its spelling and signed: its owner made the mistake."""
        document = json.loads(members["manifest.json"])
        change(document)
        return self.resigned(members, self.spelled(document))

    def resigned(self, members: dict[str, bytes], manifest: bytes) -> bytes:
        """The bundle with another manifest, signed."""
        return self.rebuilt({**members, "manifest.json": manifest, "manifest.sig": self.KEY.sign(manifest)})

    def rehashed(self, members: dict[str, bytes], change: Change = lambda document: None) -> bytes:
        """The bundle with other members, whose sizes and hashes its manifest tells as they are, signed: its owner made the mistake."""

        def listed(document: dict[str, Any]) -> None:
            for entry in document["members"]:
                data = members[entry["name"]]
                entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            change(document)

        return self.with_manifest(members, listed)

    def with_lineage(self, master: bytes, lineage: bytes) -> bytes:
        """A master that has grown, out of another one as it says (docs/formats.md)."""
        body = lineage + master[32:]
        return master[:20] + zlib.crc32(body).to_bytes(4, "little") + body

    def setting(self, path: str, value: object) -> Change:
        """The change that puts ``value`` at ``path`` ("members.0.bytes") of a manifest."""

        def change(document: dict[str, Any]) -> None:
            *parents, last = path.split(".")
            node: Any = document
            for parent in parents:
                node = node[int(parent)] if isinstance(node, list) else node[parent]
            node[int(last) if isinstance(node, list) else last] = value

        return change


@pytest.fixture(scope="session")
def toy() -> Toy:
    """What the toy bundle is made of."""
    return Toy()


@pytest.fixture(scope="session")
def signed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle, signed with the toy's key."""
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, toy.contents(), toy.KEY)
    return path


@pytest.fixture(scope="session")
def personal(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle with user vectors, signed with the toy's key."""
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, toy.personal_contents(), toy.KEY)
    return path


@pytest.fixture(scope="session")
def grown(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle with a catalogue that has grown, signed with the toy's key."""
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, toy.grown_contents(), toy.KEY)
    return path


@pytest.fixture(scope="session")
def unsigned(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy bundle without a signature."""
    path = tmp_path_factory.mktemp("bundle") / "toy.chord"
    bundle.write(path, toy.contents())
    return path
