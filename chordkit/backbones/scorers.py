"""What is exported: modules whose forward is the whole of an inference, on static shapes."""

from torch import Tensor, nn

from chordkit.backbones.backbone import Backbone


class Reranker(nn.Module):
    """Score given candidates: history int32 [1, max_length], candidates int32 [1, C] -> scores f32 [1, C].

    Candidate ids must lie in 1..items; checking them is the caller's part, at the edge.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor, candidates: Tensor) -> Tensor:
        """Scores of ``candidates`` after ``history``."""
        return self.backbone.score(self.backbone.encode(history), candidates)


class PersonalReranker(nn.Module):
    """A :class:`Reranker` with a user vector as its second input: history, user f32 [1, dim], candidates -> scores f32 [1, C]."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor, user: Tensor, candidates: Tensor) -> Tensor:
        """Scores of ``candidates`` after ``history`` for the user whose vector is ``user``."""
        return self.backbone.score(self.backbone.encode_personal(history, user), candidates)


class CatalogueScorer(nn.Module):
    """Score the whole catalogue: history int32 [1, max_length] -> scores f32 [1, items + 1]; column 0 means nothing."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, history: Tensor) -> Tensor:
        """Scores of every item after ``history``."""
        return self.backbone.score_all(self.backbone.encode(history))
