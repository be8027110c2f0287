"""``chordkit train``: backbones and hypernetworks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chordkit.cli.options import (
    ArchitectureOption,
    BestSoFarOption,
    CheckpointsOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    HeldOutOption,
    PatienceOption,
    RestartOption,
    SeenOption,
    SplitAtOption,
    ThreadsOption,
    ValidationOption,
    WidthsOption,
    WindowOption,
    WithoutOption,
    parse_range,
    parse_widths,
    tell_learned,
    tell_parts,
)
from chordkit.cli.output import JsonOption, SeedOption, emit, fp32_beside, key_values, progress_bar, rows, writable_file, writable_master
from chordkit.errors import InputError
from chordkit.processes import follows

if TYPE_CHECKING:
    from chordkit.backbones import Backbone
    from chordkit.data import Dataset, Split

TeachersOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--teacher",
        metavar="FILE",
        help="A trained backbone of the same data set, of any architecture and size, to learn from beside the clicks (distillation); "
        "may be repeated: of several, the mean.",
    ),
]
TeacherWeightOption = Annotated[
    float | None, typer.Option(min=0, max=1, help="Share of the loss that follows the teacher; the default is the documented one.")
]
TeacherTemperatureOption = Annotated[
    float | None, typer.Option(min=0.1, max=100, help="What its logits and the student's are divided by; the default is 1.")
]
LessonsOption = Annotated[
    Path | None,
    typer.Option(
        "--lessons",
        callback=writable_file,
        help="File that keeps what the teacher says (600 bytes an interaction), for all students of the same teacher and data; "
        "the default is among the checkpoints.",
    ),
]

app = typer.Typer(no_args_is_help=True, help="Train a backbone, then the hypernetwork that makes strategies for it.")


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _checkpoints(folder: Path | None, out: Path) -> Path:
    return folder if folder is not None else out.with_name(out.name + ".checkpoints")


def _begin(folder: Path, checkpoint: str, restart: bool, best_so_far: bool) -> None:
    """See to it that a run begins where it is wanted to; one that begins anew asks its teacher anew. Of several processes the one that
    leads does.

    Raises:
        InputError: there is no interrupted run to keep the best of, or both were asked for.
    """
    from chordkit.training.teacher import LESSONS_NAME

    if restart and best_so_far:
        raise InputError("--restart and --best-so-far exclude each other: one forgets what the other keeps")
    if follows():
        return
    if restart:
        for name in (checkpoint, LESSONS_NAME):
            (folder / name).unlink(missing_ok=True)
    if best_so_far and not (folder / checkpoint).exists():
        raise InputError(f"--best-so-far: {folder} has no checkpoint of a run that was interrupted; leave the option out to begin one")


def _teachers(paths: Sequence[Path], dataset: "Dataset", parts: "Split") -> "list[Backbone]":
    """The backbones of ``--teacher``; a remark where one has learned from what validates or tests here.

    Raises:
        InputError: one was trained on other data.
        CheckpointError: a file is damaged, or none.
    """
    from chordkit.training import load_backbone

    teachers = []
    for path in paths:
        teacher, origin = load_backbone(path)
        if origin.get("dataset_fingerprint", dataset.fingerprint) != dataset.fingerprint:
            raise InputError(
                f"--teacher {path}: it was trained on other data ({origin.get('dataset')}) than '{dataset.name}'; "
                "give one that was trained on this data set"
            )
        tell_learned(path, origin, dataset, parts)
        teachers.append(teacher)
    return teachers


def _require_teacher(teacher: Sequence[Path] | None, **options: object) -> None:
    """Hold that what is said about a teacher is said of one.

    Raises:
        InputError: there is none.
    """
    for name, value in options.items():
        if value is not None and not teacher:
            raise InputError(f"--{name.replace('_', '-')}: there is no --teacher that it could be about; name one, or leave it out")


def _told_of(paths: Sequence[Path], teachers: "Sequence[Backbone]") -> dict[str, Any]:
    """What provenance says of the teachers: their files' names and what tells them from others."""
    from chordkit.training.teacher import teachers_identity

    return {path.name: identity for path, identity in zip(paths, teachers_identity(teachers).values(), strict=True)}


@app.command(epilog="Example: `chordkit train backbone --data shop.safetensors --architecture sasrec --out sasrec.safetensors`")
def backbone(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the trained backbone goes (.safetensors).")],
    architecture: ArchitectureOption = "sasrec",
    dim: Annotated[int, typer.Option(min=1, max=4096, help="Width of embeddings and hidden states.")] = 64,
    max_length: Annotated[int, typer.Option(min=1, max=10_000, help="Items of a history that count.")] = 50,
    blocks: Annotated[int | None, typer.Option(min=1, max=64, help="SASRec: attention and feed-forward blocks; the default is 2.")] = None,
    heads: Annotated[int | None, typer.Option(min=1, help="SASRec: attention heads, a divisor of --dim; the default is 2.")] = None,
    dropout: Annotated[float | None, typer.Option(min=0, max=0.99, help="The default is the architecture's.")] = None,
    epochs: EpochsOption = None,
    patience: PatienceOption = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate; the default is the architecture's.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Training targets per step; the default is the architecture's.")] = None,
    teacher: TeachersOption = None,
    teacher_weight: TeacherWeightOption = None,
    teacher_temperature: TeacherTemperatureOption = None,
    lessons: LessonsOption = None,
    threads: ThreadsOption = None,
    held_out: HeldOutOption = 1,
    validation: ValidationOption = 1,
    split_at: SplitAtOption = None,
    device: DeviceOption = "cpu",
    checkpoints: CheckpointsOption = None,
    restart: RestartOption = False,
    best_so_far: BestSoFarOption = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train a backbone; early stopping on validation NDCG@10. Interrupted, the same command goes on where it stopped, also with other
    --epochs or --patience. Started by torchrun, several processes share every step (docs/training.md)."""
    from chordkit.backbones import default_config
    from chordkit.data import load_named, split, split_identity, split_statistics
    from chordkit.training import Distillation, default_options, save_backbone, train_backbone
    from chordkit.training.parallel import joined
    from chordkit.training.trainer import CHECKPOINT_NAME

    _require_teacher(teacher, teacher_weight=teacher_weight, teacher_temperature=teacher_temperature, lessons=lessons)
    folder = _checkpoints(checkpoints, out)
    with progress_bar() as progress, joined(device) as group:
        _begin(folder, CHECKPOINT_NAME, restart, best_so_far)
        dataset = load_named(data, seed=seed, progress=progress)
        config = default_config(
            architecture, dataset.items, dim=dim, max_length=max_length, **_given(blocks=blocks, heads=heads, dropout=dropout)
        )
        changed = _given(epochs=epochs, patience=patience, lr=lr, batch=batch, threads=threads)
        options = default_options(architecture, seed=seed, device=device, **changed)
        places: dict[str, Any] = {"held_out": held_out, "validation": validation, "split_at": split_at}
        parts, distillation = split(dataset, 1, *places.values()), None
        if teacher:
            teachers = _teachers(teacher, dataset, parts)
            distillation = Distillation(teachers, lessons=lessons, **_given(weight=teacher_weight, temperature=teacher_temperature))
        trained = train_backbone(
            dataset, config, options, folder, progress, distillation=distillation, best_so_far=best_so_far, group=group, **places
        )
    if not group.leads:
        return
    metrics = {name: value.to_json() for name, value in trained.metrics.items()}
    told = split_statistics(dataset, parts, split_at)
    provenance = {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "split": split_identity(dataset, *places.values()),
        "options": options.to_json(),
        "metrics": metrics,
    }
    if distillation is not None and teacher:
        about = {"weight": distillation.weight, "temperature": distillation.temperature}
        provenance["distillation"] = {"teachers": _told_of(teacher, distillation.teachers), **about}
    save_backbone(out, trained.backbone, provenance)
    if split_at is not None:
        tell_parts(told)
    body = [
        [name, value["protocol"], *(f"{value[key]['mean']:.4f}" for key in ("ndcg5", "ndcg10", "hr5", "hr10"))]
        for name, value in metrics.items()
    ]
    emit(
        as_json,
        {"file": str(out), "best_epoch": trained.best_epoch, "epochs": len(trained.history), **provenance, "parts": told},
        lambda: rows(f"{architecture} on {dataset.name} -> {out}", ["part", "protocol", "NDCG@5", "NDCG@10", "HR@5", "HR@10"], body),
    )


@app.command(
    epilog="Example: `chordkit train hypernetwork --data shop.safetensors --backbone sasrec.safetensors --out hypernetwork.safetensors "
    "--master master.chrm`"
)
def hypernetwork(
    data: DataOption,
    backbone: Annotated[Path, typer.Option("--backbone", "-b", help="A trained backbone.")],
    out: Annotated[Path, typer.Option("--out", "-o", callback=writable_file, help="Where the hypernetwork goes (.safetensors).")],
    master: Annotated[
        Path,
        typer.Option(
            "--master", "-m", callback=writable_master, help="Where the master weights go (.chrm), to which its strategies belong."
        ),
    ],
    backbone_init: Annotated[
        str,
        typer.Option(
            help="joint: the backbone goes on learning with the hypernetwork. random: the paper's, channel layers frozen at random, "
            "the rest trained with the hypernetwork. trained: all of the backbone frozen."
        ),
    ] = "joint",
    warm_start: Annotated[
        bool, typer.Option(help="With random: start embeddings, LayerNorms and biases from the trained backbone.")
    ] = False,
    window: WindowOption = None,
    budget: Annotated[float | None, typer.Option(help="Average bits per weight to train for.")] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Lowest and highest average bits, 1,6: one hypernetwork for every budget in between.")
    ] = None,
    widths: WidthsOption = "2,4,8",
    user_vector: Annotated[bool, typer.Option("--user-vector", help="Make a user vector as well, a second input of the model.")] = False,
    static: Annotated[bool, typer.Option("--static", help="The static rival: one learned strategy for all.")] = False,
    fp32: Annotated[bool, typer.Option("--fp32", help="The fp32 rival: the backbone goes on learning without strategies.")] = False,
    seen_items_masked: SeenOption = False,
    without: WithoutOption = None,
    teacher: TeachersOption = None,
    teacher_weight: TeacherWeightOption = None,
    teacher_temperature: TeacherTemperatureOption = None,
    lessons: LessonsOption = None,
    held_out: HeldOutOption = 1,
    validation: ValidationOption = 1,
    split_at: SplitAtOption = None,
    epochs: EpochsOption = None,
    patience: PatienceOption = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate of the hypernetwork; the default is the documented one.")] = None,
    batch: Annotated[int | None, typer.Option(min=4, help="Windows per step; the default is the documented one.")] = None,
    embedding_bits: Annotated[Literal["8", "4"], typer.Option(help="Of the item table in the master: 4 halves most of its bytes.")] = "8",
    threads: ThreadsOption = None,
    device: DeviceOption = "cpu",
    checkpoints: CheckpointsOption = None,
    restart: RestartOption = False,
    best_so_far: BestSoFarOption = False,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Train the hypernetwork through a backbone; writes it, the master weights, and the FP32 backbone behind them. Started by torchrun,
    several processes share every step (docs/training.md)."""
    from chordkit.data import load_named, split, split_identity
    from chordkit.hypernetwork import default_hypernetwork_options, save_hypernetwork, train_hypernetwork
    from chordkit.hypernetwork.trainer import CHECKPOINT_NAME
    from chordkit.training import load_backbone, save_backbone
    from chordkit.training.parallel import joined

    _require_teacher(teacher, teacher_weight=teacher_weight, teacher_temperature=teacher_temperature, lessons=lessons)
    frozen = fp32_beside(master)
    # Before anything is read: a mistake in the options costs no wait.
    options = default_hypernetwork_options(
        backbone_init,
        warm_start=warm_start,
        window=window,
        widths=parse_widths(widths, "--widths"),
        budgets=None if budgets is None else parse_range(budgets, "--budgets"),
        user_vector=user_vector,
        personal=not (static or fp32),
        quantised=not fp32,
        seen_masked=seen_items_masked,
        seed=seed,
        device=device,
        embedding_bits=int(embedding_bits),
        **_given(average_bits=budget, epochs=epochs, patience=patience, lr=lr, batch=batch, threads=threads, without=without),
        **_given(teacher_weight=teacher_weight, teacher_temperature=teacher_temperature),
    )
    where = _checkpoints(checkpoints, out)
    with progress_bar() as progress, joined(device) as group:
        _begin(where, CHECKPOINT_NAME, restart, best_so_far)
        dataset = load_named(data, seed=seed, progress=progress)
        source, origin = load_backbone(backbone)
        places: dict[str, Any] = {"held_out": held_out, "validation": validation, "split_at": split_at}
        parts = split(dataset, 1, *places.values())
        tell_learned(backbone, origin, dataset, parts)
        teachers = _teachers(teacher or [], dataset, parts)
        kept: dict[str, Any] = {"lessons": lessons, "best_so_far": best_so_far, "group": group}
        trained = train_hypernetwork(dataset, source, None, options, where, progress, teachers=teachers, **kept, **places)
    if not group.leads:
        return
    provenance = {
        "dataset": dataset.name,
        "dataset_fingerprint": dataset.fingerprint,
        "split": split_identity(dataset, *places.values()),
        "options": options.to_json(),
    }
    if teacher:
        provenance["distillation"] = {"teachers": _told_of(teacher, teachers)}
    trained.master.save(master)
    save_backbone(frozen, trained.backbone, provenance)
    save_hypernetwork(out, trained.hypernetwork, provenance)
    payload = {
        "hypernetwork": str(out),
        "master": str(master),
        "fp32": str(frozen),
        "fingerprint": trained.master.fingerprint.hex(),
        "window": trained.backbone.config.max_length,
        "channels": trained.master.channel_table.channels,
        "best_epoch": trained.best_epoch,
        "epochs": len(trained.history),
        "valid_ndcg10": trained.history[trained.best_epoch]["valid_ndcg10"],
        "valid_likelihood": trained.history[trained.best_epoch]["valid_likelihood"],
    }
    emit(as_json, payload, lambda: key_values(f"hypernetwork for {dataset.name}", payload))
