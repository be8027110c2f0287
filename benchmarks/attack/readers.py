"""What small hostile files cost chordkit's readers: seconds and MB of each attack, in a process of its own under a limit of memory.

    python benchmarks/attack/readers.py [--memory-gb 4] [--seconds 120] [NAME ...]

An attack is *bounded* when the reader answers with one of chordkit's errors (or reads the file) within the limits; the exit status is 1
when one is not.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ATTACKS: dict[str, Callable[[Path], Callable[[], object]]] = {}


def attack(make: Callable[[Path], Callable[[], object]]) -> Callable[[Path], Callable[[], object]]:
    """Register an attack: it writes into a folder, and gives the call that is measured."""
    ATTACKS[make.__name__.replace("_", "-")] = make
    return make


def _backbone(folder: Path, **sizes: object) -> Path:
    """A whole backbone file whose configuration says something else than its tensors."""
    from chordkit.backbones import build, config_to_dict, default_config
    from chordkit.training.checkpoint import write_tensors

    backbone = build(default_config("sasrec", 500, dim=64, max_length=50))
    configuration = config_to_dict(backbone.config) | sizes
    metadata = {"format": "chordkit-backbone", "version": 1, "configuration": configuration, "provenance": {}}
    write_tensors(folder / "b.safetensors", backbone.state_dict(), metadata)
    return folder / "b.safetensors"


def _load_backbone(path: Path) -> Callable[[], object]:
    from chordkit.training import load_backbone

    return lambda: load_backbone(path)


@attack
def backbone_of_a_billion_items(folder: Path) -> Callable[[], object]:
    return _load_backbone(_backbone(folder, items=10**9))


@attack
def backbone_of_twenty_million_items(folder: Path) -> Callable[[], object]:
    return _load_backbone(_backbone(folder, items=2 * 10**7))


@attack
def backbone_of_a_million_blocks(folder: Path) -> Callable[[], object]:
    return _load_backbone(_backbone(folder, blocks=10**6))


@attack
def backbone_of_a_long_history(folder: Path) -> Callable[[], object]:
    return _load_backbone(_backbone(folder, max_length=10**6))


@attack
def safetensors_header_of_a_million_tensors(folder: Path) -> Callable[[], object]:
    empty = ",".join(f'"{number}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for number in range(1_000_000))
    header = f"{{{empty}}}".encode()
    (folder / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return _load_backbone(folder / "x.safetensors")


@attack
def safetensors_header_nested_deeply(folder: Path) -> Callable[[], object]:
    header = b'{"__metadata__":' + b"[" * 5_000_000
    (folder / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return _load_backbone(folder / "x.safetensors")


@attack
def hypernetwork_of_a_billion_features(folder: Path) -> Callable[[], object]:
    from chordkit.backbones import build, default_config, make_master
    from chordkit.hypernetwork import HypernetworkOptions, load_hypernetwork
    from chordkit.hypernetwork.model import Hypernetwork
    from chordkit.training.checkpoint import write_tensors

    master = make_master(build(default_config("sasrec", 500, dim=64, max_length=50)))
    network = Hypernetwork(master, HypernetworkOptions())
    metadata = {"format": "chordkit-hypernetwork", "version": 1, "options": network.options.to_json() | {"hidden": 10**8}}
    metadata |= {"fingerprint": master.fingerprint.hex(), "channels": network.table.to_json(), "provenance": {}}
    write_tensors(folder / "h.safetensors", network.state_dict(), metadata)
    return lambda: load_hypernetwork(folder / "h.safetensors", master)


@attack
def parquet_of_one_event_repeated(folder: Path) -> Callable[[], object]:
    import numpy as np
    import polars as pl

    from chordkit.data import prepare

    zeros = np.zeros(20_000_000, np.int32)
    pl.DataFrame(dict.fromkeys(("user", "item", "timestamp"), zeros)).write_parquet(folder / "x.parquet", compression="zstd")
    return lambda: prepare(folder / "x.parquet")


@attack
def parquet_of_one_long_text(folder: Path) -> Callable[[], object]:
    import polars as pl

    from chordkit.data import prepare

    rows = 20_000
    user = pl.Series("user", ["a" * 100_000]).new_from_index(0, rows).alias("user")
    frame = pl.DataFrame([user, pl.Series("item", range(rows)), pl.Series("timestamp", range(rows))])
    frame.write_parquet(folder / "x.parquet", compression="zstd")
    return lambda: prepare(folder / "x.parquet")


@attack
def csv_of_a_million_columns(folder: Path) -> Callable[[], object]:
    from chordkit.data import prepare

    (folder / "x.csv").write_bytes(b"user,item,timestamp" + b",x" * 1_000_000 + b"\n" + b"1,1,1" + b",0" * 1_000_000 + b"\n")
    return lambda: prepare(folder / "x.csv")


@attack
def csv_of_one_line(folder: Path) -> Callable[[], object]:
    from chordkit.data import prepare

    (folder / "x.csv").write_bytes(b"user,item,timestamp\n1," + b"x" * 20_000_000 + b",1\n")
    return lambda: prepare(folder / "x.csv")


@attack
def data_set_of_a_million_empty_ids(folder: Path) -> Callable[[], object]:
    import numpy as np
    from safetensors.numpy import save_file

    from chordkit.data import Dataset
    from chordkit.data.dataset import _checksum

    ids = np.frombuffer(b"[" + b"[]," * 3_000_000 + b"[]]", np.uint8)
    tensors = {"flat": np.ones(3, np.int32), "offsets": np.array([0, 3]), "item_ids": ids, "user_ids": ids}
    header = {"format": "chordkit.dataset", "version": "1", "name": "x", "provenance": "{}"}
    save_file(tensors, folder / "d.safetensors", header | {"sha256": _checksum(header, tensors)})
    return lambda: Dataset.load(folder / "d.safetensors")


@attack
def export_index_of_a_million_wrong_artifacts(folder: Path) -> Callable[[], object]:
    from chordkit.export.collection import read_folder

    wrong = ",".join(["{}"] * 1_000_000)
    (folder / "export.json").write_text(f'{{"format":"chordkit-export","version":1,"fingerprint":"","artifacts":[{wrong}]}}')
    return lambda: read_folder(folder)


@attack
def report_of_endless_depth(folder: Path) -> Callable[[], object]:
    from chordkit.report import load_json

    (folder / "report.json").write_text("[" * 10_000_000)
    return lambda: load_json(folder / "report.json")


@attack
def report_without_end(folder: Path) -> Callable[[], object]:
    from chordkit.report import load_json

    return lambda: load_json("/dev/zero")


@attack
def benchmark_result_of_many_unknown_members(folder: Path) -> Callable[[], object]:
    from chordkit.runtime_bench.compare import load_report

    members = ",".join(f'"{number}":0' for number in range(1_000_000))
    (folder / "bench.json").write_text(f'{{"format_version":2,"results":[],{members}}}')
    return lambda: load_report(folder / "bench.json")


@attack
def samples_in_one_line(folder: Path) -> Callable[[], object]:
    from chordkit.runtime_bench.samples import read_samples

    line = '{"contender":"x","launch":0,"block":0,"at_s":0,"batch":1,"us":[' + ",".join(["0"] * 20_000_000) + "]}\n"
    (folder / "x.jsonl").write_text(line)
    return lambda: read_samples(folder / "x.jsonl")


def measure(name: str) -> dict[str, object]:
    """Make the attack's files, then time the reader alone; memory is what it took on top of what was there."""
    from chordkit.errors import ChordkitError

    def peak() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])

    with tempfile.TemporaryDirectory() as folder:
        read = ATTACKS[name](Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        Path("/proc/self/clear_refs").write_text("5")
        before, start = peak(), time.perf_counter()
        try:
            read()
            answer = "read"
        except ChordkitError as error:
            answer = f"{type(error).__name__}: {error}".replace(f"{folder}/", "")
        except MemoryError:
            answer = "OUT OF MEMORY"
        except Exception as error:
            answer = f"TRACEBACK {type(error).__name__}: {str(error)[:80]}"
        return {"bytes": size, "s": time.perf_counter() - start, "mb": (peak() - before) / 1024, "answer": answer}


def main() -> int:
    """Run the attacks, print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ATTACKS)}")
    parser.add_argument("--memory-gb", type=float, default=4.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return 0
    limit, failed = int(arguments.memory_gb * 2**30), 0
    print(f"{'attack':45s} {'file MB':>8s} {'s':>7s} {'MB':>7s}  answer")
    for name in arguments.names or ATTACKS:
        command = [sys.executable, __file__, "--one", name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=arguments.seconds,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
            )  # fmt: skip
            told = json.loads(done.stdout) if done.returncode == 0 else {"answer": f"ENDED with status {done.returncode}"}
        except subprocess.TimeoutExpired:
            told = {"answer": f"NO ANSWER in {arguments.seconds:g} s"}
        failed += str(told["answer"])[:6].isupper()
        figures = f"{told['bytes'] / 1e6:8.2f} {told['s']:7.2f} {told['mb']:7.0f}" if "bytes" in told else f"{'':8s} {'':7s} {'':7s}"
        print(f"{name:45s} {figures}  {str(told['answer'])[:150]}", flush=True)
    print(f"{failed} of {len(arguments.names or ATTACKS)} attacks are not bounded")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
