"""What a hypernetwork is trained through: the backbone at several widths, and the loss of both as one model."""

from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, BackboneConfig, attach_widths, build, from_master, initialise, make_master, shorten
from chordkit.backbones.part import Part
from chordkit.errors import InputError
from chordkit.hypernetwork.grid import fake_quantize
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import WINDOW, HypernetworkOptions
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.hypernetwork.selection import by_layer, choose_widths, straight_through
from chordkit.quantization import MasterWeights
from chordkit.training.loss import Rows, Taught, catalogue_loss

# A backbone with one state per history pays for every target with a whole history: so many a window and step.
_SINGLE_TARGETS = 10
# Budgets that share one step, where a hypernetwork serves many.
_BUDGETS_PER_STEP = 4


def phone_backbone(backbone: Backbone, options: HypernetworkOptions) -> Backbone:
    """``backbone`` with the phone's window, as a copy.

    Raises:
        InputError: the options ask for a window that the backbone cannot have.
    """
    length = backbone.config.max_length
    if options.window is not None:
        return shorten(backbone, options.window or length)
    try:
        return shorten(backbone, min(WINDOW, length))
    except InputError:
        return shorten(backbone, length)


def training_backbone(backbone: Backbone, master: MasterWeights | None, options: HypernetworkOptions) -> tuple[Backbone, MasterWeights]:
    """The model that training runs through, from one with the phone's window, and its (unless ``trained``: preliminary) master weights."""
    if options.backbone_init == "trained":
        master = master or make_master(backbone, options.scale_policy, options.embedding_bits)
        frozen = from_master(master).requires_grad_(False)
        return frozen, master
    learning = build(_with_dropout(backbone.config, options.dropout))
    if options.backbone_init == "joint":
        learning.load_state_dict(backbone.state_dict())
        return learning, make_master(learning, options.scale_policy, options.embedding_bits)
    initialise(learning, "random", distribution=options.distribution, seed=options.seed)
    if options.warm_start:
        channel_weights = {f"{name}.weight" for name in learning.channel_layers()}
        state = {name: tensor for name, tensor in backbone.state_dict().items() if name not in channel_weights}
        learning.load_state_dict(state, strict=False)
    master = make_master(learning, options.scale_policy, options.embedding_bits)
    for layer in learning.channel_layers().values():
        layer.weight.requires_grad_(False)
    return learning, master


def used_widths(options: HypernetworkOptions) -> tuple[int, ...]:
    """The widths that channels are computed at, ascending; a channel that is off is not computed."""
    return tuple(width for width in options.widths if width)


def _with_dropout(config: BackboneConfig, dropout: float | None) -> BackboneConfig:
    if dropout is None or "dropout" not in {each.name for each in fields(config)}:
        return config
    return replace(config, dropout=dropout)  # type: ignore[call-arg]


class JointModel(nn.Module):
    """Hypernetwork and backbone as one module, so that optimiser, average and checkpoints see one set of names."""

    def __init__(self, hypernetwork: Hypernetwork, backbone: Backbone, master: MasterWeights) -> None:
        super().__init__()
        self.hypernetwork = hypernetwork
        self.backbone = backbone
        self.master = master

    def trainable(self) -> dict[str, nn.Parameter]:
        """What changes in training; everything else is fixed by the seed or the master."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def attach(self, widths: tuple[int, ...]) -> None:
        """Give every channel layer its weights at ``widths``: the master's, or what the master of a backbone that learns would have now."""
        if self.hypernetwork.options.backbone_init != "joint":
            attach_widths(self.backbone, self.master, widths)
            return
        layers = list(self.backbone.channel_layers().values())
        for features in {layer.in_features for layer in layers}:
            # Every row has a scale of its own: layers of one input width are rounded as one.
            alike = [layer for layer in layers if layer.in_features == features]
            each = fake_quantize(torch.cat([layer.weight for layer in alike]), widths)
            parts = [weights.split([layer.out_features for layer in alike]) for weights in each]
            for layer, *own in zip(alike, *parts, strict=True):
                layer.attach_widths(own)

    def loss(
        self,
        profiles: Tensor,
        inputs: Tensor,
        targets: Tensor,
        seen: Tensor | None = None,
        taught: Taught | None = None,
        part: Part | None = None,
    ) -> Tensor:
        """Full-softmax cross-entropy of the targets, each window under the strategy and the user vector of its own profile history.

        Profiles, their importances (which are standardised over the batch) and user vectors are those of the whole batch, a few percent of
        a step; all that follows is computed for ``part`` alone, and its loss is what it adds to the batch's.

        Args:
            profiles: [batch, profile length], the history before the first target.
            inputs: [batch, max_length]; column t predicts ``targets`` column t.
            targets: [batch, max_length], 0 where there is no loss.
            seen: (number among the part's targets, item) pairs that take no part in the softmax; None = all items do.
            taught: what a teacher says of each of the part's targets; None = the target alone counts.
            part: the windows to compute; None = all.
        """
        hypernetwork, backbone, options = self.hypernetwork, self.backbone, self.hypernetwork.options
        part = part or Part(0, len(targets), len(targets))
        profile = pooled_profile(backbone.item_embedding.weight, profiles, options.pools, options.history_dropout)
        choices = self._choices(profile, part) if options.quantised else None
        user = part.of(hypernetwork.user_vector(profile)) if options.user_vector else None
        counts = (targets != 0).sum(dim=1)
        inputs, targets = part.of(inputs), part.of(targets)
        kept = targets != 0
        if backbone.window_context:
            counts = counts.clamp(max=_SINGLE_TARGETS)
            number = torch.full_like(targets, -1).masked_scatter(kept, torch.arange(int(kept.sum()), device=targets.device))
            keys = part.of(torch.rand(part.whole, targets.shape[1], device=targets.device))
            rows, inputs, number = _single_targets(inputs, number, keys)
            first = int(counts[: part.first].sum())
            with Part(first, first + len(rows), int(counts.sum())).drawing():
                hidden = self._states(inputs, choices, user, rows)
            order = number.argsort()
            hidden, chosen = hidden[order], number[order]
        else:
            with part.drawing():
                hidden = self._states(inputs, choices, user)[kept]
            chosen = None
        loss = catalogue_loss(backbone, hidden, _goals(targets[kept], seen, taught, chosen))
        return loss * part.share(len(hidden), int(counts.sum()))

    def _choices(self, profile: Tensor, part: Part) -> Tensor:
        """Widths of the part's channels [windows, channels, widths], within the budget or, where there are many, within drawn ones."""
        hypernetwork, options = self.hypernetwork, self.hypernetwork.options
        used = used_widths(options)
        if options.backbone_init == "joint":
            self.attach(used)
        if options.budgets is None:
            importance = part.of(hypernetwork.importance(profile))
            widths = choose_widths(importance, hypernetwork.table, options.budget)
            return straight_through(importance, widths, options.temperature, used)
        low, high = (torch.tensor(each).log2() for each in options.budgets)
        drawn = torch.exp2(low + (high - low) * torch.rand(_BUDGETS_PER_STEP))
        owner = torch.arange(len(profile)) % _BUDGETS_PER_STEP
        importance, owner = part.of(hypernetwork.importance(profile, drawn[owner].unsqueeze(1))), part.of(owner)
        choices = importance.new_zeros(*importance.shape, len(used))
        for index, bits in enumerate(drawn.tolist()):
            own = importance[owner == index]
            if not len(own):
                continue
            widths = choose_widths(own, hypernetwork.table, options.budget_at(bits))
            choices[owner == index] = straight_through(own, widths, options.temperature, used)
        return choices

    def _states(self, inputs: Tensor, choices: Tensor | None, user: Tensor | None, rows: Tensor | None = None) -> Tensor:
        """Hidden states: of all slots, or, given the window of each history in ``rows``, of the last slot."""
        if rows is not None:
            choices = None if choices is None else choices.index_select(0, rows)
            user = None if user is None else user.index_select(0, rows)
        layers = None if choices is None else by_layer(choices, self.hypernetwork.table)
        personal = self.backbone.forward_personal if rows is None else self.backbone.encode_personal
        return personal(inputs, user, layers)


def _goals(targets: Tensor, seen: Tensor | None, taught: Taught | None, chosen: Tensor | None) -> Rows:
    """What the loss is to predict, for all targets or for those with the numbers ``chosen``, ascending."""
    if chosen is not None:
        targets = targets[chosen]
        if seen is not None:
            place = torch.full((int(chosen.max()) + 2,), -1, device=chosen.device)
            place[chosen] = torch.arange(len(chosen), device=chosen.device)
            rows = place[seen[0].clamp(max=int(chosen.max()) + 1)]
            seen = torch.stack([rows[rows >= 0], seen[1][rows >= 0]])
        if taught is not None:
            taught = replace(taught, items=taught.items[chosen], logits=taught.logits[chosen])
    return Rows(targets, seen, taught)


def _single_targets(inputs: Tensor, number: Tensor, keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For a backbone with one state per history: a few random targets a window as (window row, history, number of the target).

    ``number`` [batch, length] has the number of each target, -1 where there is none; ``keys`` [batch, length] are random, in [0, 1).
    """
    length = inputs.shape[1]
    keys = keys.masked_fill(number < 0, -1.0)
    values, columns = keys.topk(min(_SINGLE_TARGETS, length), dim=1)
    kept = values >= 0
    rows = torch.arange(len(inputs), device=inputs.device).unsqueeze(1).expand_as(columns)[kept]
    columns = columns[kept]
    # Column t of a window knows the inputs up to t: shift them to the right end and pad the left with 0.
    source = torch.arange(length, device=inputs.device) - (length - 1 - columns).unsqueeze(1)
    histories = torch.where(source >= 0, inputs[rows].gather(1, source.clamp(min=0)), 0)
    return rows, histories, number[rows, columns]
