"""A small model, tables of histories, and what the service would answer."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

ITEMS, POOLS = 40, (2, 5, 20)


@dataclass(frozen=True)
class Material:
    """Files of a model that nobody trained, and its items' ids."""

    folder: Path
    ids: list[str]

    @property
    def master(self) -> Path:
        return self.folder / "master.chrm"

    @property
    def hypernetwork(self) -> Path:
        return self.folder / "hypernetwork.safetensors"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    def job(self, **terms: Any) -> Any:
        from chordkit.jobs.job import Job

        return Job.read(self.master, self.hypernetwork, **terms)

    def histories(self, users: int, seed: int = 0) -> list[list[int]]:
        """Of 1 to 30 items, more than the profile looks at."""
        random = np.random.default_rng(seed)
        return [random.integers(1, ITEMS + 1, random.integers(1, 31)).tolist() for _ in range(users)]

    def write(self, folder: Path, tables: int = 3, users: int = 30, **columns: Any) -> Path:
        """Tables with columns user (text) and history (indices)."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        folder.mkdir(parents=True, exist_ok=True)
        for number in range(tables):
            names = [f"{number}-{user}" for user in range(users)]
            lists = pa.array(self.histories(users, number), pa.list_(pa.int32()))
            pq.write_table(pa.table({"user": names, "history": lists}), folder / f"{number}.parquet", row_group_size=17)
        return folder


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    pytest.importorskip("pyarrow")
    from chordkit.backbones import SASRecConfig, build, make_master
    from chordkit.hypernetwork import Hypernetwork, HypernetworkOptions, save_hypernetwork
    from chordkit.signing import generate_key_pair

    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        master = make_master(build(SASRecConfig(items=ITEMS, dim=16, max_length=10, blocks=1, heads=1)))
    master.save(folder / "master.chrm")
    network = Hypernetwork(master, HypernetworkOptions(pools=POOLS, hidden=16, user_vector=True))
    network.initialise(torch.Generator().manual_seed(0))
    torch.nn.init.normal_(network.vector.weight, generator=torch.Generator().manual_seed(1))
    save_hypernetwork(folder / "hypernetwork.safetensors", network)
    generate_key_pair(folder / "key.pem", folder / "key.pub.pem")
    return Material(folder, [f"sku-{number}" for number in range(1, ITEMS + 1)])


@pytest.fixture(scope="session")
def served(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[bytes]]:
    """What the model of the service answers for histories, one request after the other."""
    from chordkit.service.model import Model

    folder = tmp_path_factory.mktemp("served")
    for file in (material.master, material.hypernetwork):
        shutil.copy(file, folder)
    model = Model.load(folder, lambda *told: None)

    def answer(histories: list[list[int]], bits: float | None = None) -> list[bytes]:
        asked = (model.profile(history, model.pools) for history in histories)
        return [model.strategies(profile[None], model.budget(bits))[0] for profile in asked]

    return answer
