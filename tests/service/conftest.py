"""A service in this process, asked as over the network."""

import asyncio
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx
    from fastapi import FastAPI

    from chordkit.service import Settings

MATERIAL = Path(__file__).with_name("material.py")


def load_material() -> Any:
    spec = importlib.util.spec_from_file_location("service_material", MATERIAL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def material() -> Any:
    return load_material()


@dataclass
class Asked:
    """An application and how to ask it."""

    app: "FastAPI"
    settings: "Settings"

    def __call__(self, method: str, path: str, **request: Any) -> "httpx.Response":
        return self.together([(method, path, request)])[0]

    def together(self, requests: list[tuple[str, str, dict[str, Any]]]) -> "list[httpx.Response]":
        """Requests at one moment."""
        import httpx

        async def ask() -> list[httpx.Response]:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://service") as client:
                return await asyncio.gather(*[client.request(method, path, **request) for method, path, request in requests])

        return asyncio.run(ask())

    @property
    def state(self) -> Any:
        return self.app.state.service


@pytest.fixture(scope="session")
def folder(material: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``models/a`` (with a pool), a key, and a token file for the token "secret"."""
    import hashlib

    from chordkit.signing import generate_key_pair

    folder = tmp_path_factory.mktemp("service")
    material.write_model(folder / "models" / "a", with_pool=True)
    generate_key_pair(folder / "key.pem", folder / "key.pub.pem")
    (folder / "tokens.txt").write_text(f"# apps\nshop {hashlib.sha256(b'secret').hexdigest()}\n")
    return folder


@pytest.fixture(scope="session")
def make(folder: Path) -> Callable[..., Asked]:
    """Makes a service from changes to one that signs, hands out bare strategies and takes items, and is open."""
    from chordkit.service import Settings
    from chordkit.service.app import create_app

    usual = Settings(models=folder / "models", key=folder / "key.pem", bare=True, items=True, access_log=False)

    def made(provider: Any = None, **changes: Any) -> Asked:
        settings = replace(usual, **changes)
        return Asked(create_app(settings, tracer_provider=provider), settings)

    return made


@pytest.fixture(scope="session")
def service(make: Callable[..., Asked]) -> Asked:
    return make()
