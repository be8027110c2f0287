"""What a hypernetwork is trained through: the frozen backbone at three widths, and the loss of both as one model."""

import torch
from torch import Tensor, nn

from chordkit.backbones import Backbone, attach_widths, build, from_master, initialise, make_master
from chordkit.hypernetwork.model import Hypernetwork
from chordkit.hypernetwork.options import HypernetworkOptions
from chordkit.hypernetwork.profile import pooled_profile
from chordkit.hypernetwork.selection import by_layer, choose_widths, straight_through
from chordkit.quantization import MasterWeights
from chordkit.training.loss import catalogue_loss

# A backbone with one state per history pays for every target with a whole history: so many a window and step.
_SINGLE_TARGETS = 4


def frozen_backbone(backbone: Backbone, master: MasterWeights | None, options: HypernetworkOptions) -> tuple[Backbone, MasterWeights]:
    """The model that training runs through, widths attached, and its (for ``random``: preliminary) master weights."""
    if options.backbone_init == "trained":
        master = master or make_master(backbone, options.scale_policy, options.embedding_bits)
        frozen = from_master(master)
    else:
        frozen = initialise(build(backbone.config), "random", distribution=options.distribution, seed=options.seed)
        if options.warm_start:
            channel_weights = {f"{name}.weight" for name in frozen.channel_layers()}
            state = {name: tensor for name, tensor in backbone.state_dict().items() if name not in channel_weights}
            frozen.load_state_dict(state, strict=False)
        master = make_master(frozen, options.scale_policy, options.embedding_bits)
    for layer in frozen.channel_layers().values():
        layer.weight.requires_grad_(False)
    if options.backbone_init == "trained":
        frozen.requires_grad_(False)
    return attach_widths(frozen, master), master


class JointModel(nn.Module):
    """Hypernetwork and backbone as one module, so that optimiser, average and checkpoints see one set of names."""

    def __init__(self, hypernetwork: Hypernetwork, backbone: Backbone) -> None:
        super().__init__()
        self.hypernetwork = hypernetwork
        self.backbone = backbone

    def trainable(self) -> dict[str, nn.Parameter]:
        """What changes in training; everything else is fixed by the seed or the master."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def loss(self, profiles: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
        """Full-softmax cross-entropy of the targets, each window under the strategy of its own profile history."""
        hypernetwork, backbone, options = self.hypernetwork, self.backbone, self.hypernetwork.options
        profile = pooled_profile(backbone.item_embedding.weight, profiles, options.pools, options.history_dropout)
        importance = hypernetwork.importance(profile)
        widths = choose_widths(importance, hypernetwork.table, options.budget)
        choices = straight_through(importance, widths, options.temperature)
        if backbone.window_context:
            rows, inputs, targets = _single_targets(inputs, targets)
            hidden = backbone.encode(inputs, by_layer(choices.index_select(0, rows), hypernetwork.table))
        else:
            kept = targets != 0
            hidden, targets = backbone(inputs, by_layer(choices, hypernetwork.table))[kept], targets[kept]
        return catalogue_loss(backbone, hidden, targets)


def _single_targets(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For a backbone with one state per history: a few random targets a window as (window row, history, target)."""
    length = inputs.shape[1]
    keys = torch.rand(targets.shape, device=targets.device).masked_fill(targets == 0, -1.0)
    values, columns = keys.topk(min(_SINGLE_TARGETS, length), dim=1)
    kept = values >= 0
    rows = torch.arange(len(inputs), device=inputs.device).unsqueeze(1).expand_as(columns)[kept]
    columns = columns[kept]
    # Column t of a window knows the inputs up to t: shift them to the right end and pad the left with 0.
    source = torch.arange(length, device=inputs.device) - (length - 1 - columns).unsqueeze(1)
    histories = torch.where(source >= 0, inputs[rows].gather(1, source.clamp(min=0)), 0)
    return rows, histories, targets[rows, columns]
