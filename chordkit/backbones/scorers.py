"""What is exported: modules whose forward is the whole of an inference, on static shapes."""

from torch import Tensor, nn

from chordkit.backbones.backbone import Backbone


class Reranker(nn.Module):
    """Score given candidates: history int32 [batch, max_length], candidates int32 [batch, C] -> scores f32 [batch, C].

    Candidate ids must lie in 1..items; checking them is the caller's part, at the edge.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        """Scores of ``candidates`` after ``history``."""
        return self.backbone.score(self.backbone.encode(history), candidates)


class PersonalReranker(nn.Module):
    """A :class:`Reranker` with a user vector as its second input: history, user f32 [batch, dim], candidates -> scores f32 [batch, C]."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor, user: Tensor, candidates: Tensor) -> Tensor:
        """Scores of ``candidates`` after ``history`` for the user whose vector is ``user``."""
        return self.backbone.score(self.backbone.encode_personal(history, user), candidates)


class CatalogueScorer(nn.Module):
    """Score the whole catalogue: history int32 [batch, max_length] -> scores f32 [batch, items + 1]; column 0 means nothing."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor) -> Tensor:
        """Scores of every item after ``history``."""
        return self.backbone.score_all(self.backbone.encode(history))


class PersonalCatalogueScorer(nn.Module):
    """A :class:`CatalogueScorer` with a user vector as its second input: history, user [batch, dim] -> scores [batch, items + 1]."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor, user: Tensor) -> Tensor:
        """Scores of every item after ``history`` for the user whose vector is ``user``."""
        return self.backbone.score_all(self.backbone.encode_personal(history, user))
